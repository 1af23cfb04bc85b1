"""Who may deliver must not be able to have other files of the machine read: links, pipes and devices."""

from __future__ import annotations

import os
import platform
import socket
from pathlib import Path

import pytest

from activity_audit.evidence.verify.check_files import PublishedDelivery, check_landing
from activity_audit.ingest.sources.file_systems import LocalFiles
from activity_audit.ingest.sources.source import SourceError
from tests.unit.raw_lake import HOUR, A, B, Feeds, indexed, raw_content


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file outside of the landing area, which looks like a delivery, in folders that look like a feed's."""
    path = tmp_path / f"elsewhere/search/{HOUR:%Y-%m-%d/%H}/secret.ndjson"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"eventId":"secret"}\n')
    return path


def landed(feeds: Feeds) -> list[str]:
    return [delivery.name for delivery in indexed(feeds)[0]]


@pytest.mark.parametrize("place", ["file", "manifest", "hour", "day", "feed", "environment", "chain", "dots"])
@pytest.mark.parametrize("as_url", [False, True], ids=["path", "url"])
def test_a_link_that_leads_out_is_not_read_and_is_named(feeds: Feeds, secret: Path, place: str, as_url: bool) -> None:
    feeds.deliver("a.ndjson", A)
    links = {
        "file": (feeds.folder / "b.ndjson", secret),
        "manifest": (feeds.folder / "_manifest.json", secret),
        "hour": (feeds.folder.with_name("11"), secret.parent),
        "day": (feeds.landing / "search/2026-05-02", secret.parents[1]),
        "feed": (feeds.landing / "bi", secret.parents[2]),
        "environment": (feeds.folder / "b.ndjson", Path("/proc/self/environ")),
        "chain": (feeds.folder / "b.ndjson", Path("_inner")),
        "dots": (feeds.folder / "b.ndjson", Path("../../../../elsewhere") / secret.relative_to(secret.parents[3])),
    }
    if place == "chain":
        (feeds.folder / "_inner").symlink_to(secret)
    link, target = links[place]
    link.symlink_to(target)
    report = feeds.land(f"file://{feeds.landing}" if as_url else None)
    assert landed(feeds) == ["a.ndjson"]
    assert report.new_manifests == []
    shown = link.relative_to(feeds.landing)
    assert report.warnings == [f"{shown} is a link that leads out of the landing area; it was not read"]


def test_links_inside_are_followed(feeds: Feeds) -> None:
    (feeds.landing / "store").mkdir()
    (feeds.landing / "store/whole.ndjson").write_bytes(A)
    (feeds.folder / "a.ndjson").symlink_to(feeds.landing / "store/whole.ndjson")
    (feeds.folder / "b.ndjson").symlink_to("a.ndjson")
    feeds.folder.with_name("11").symlink_to("10")
    assert feeds.land().warnings == ["no feed is known for store/; it was not read"]
    assert sorted(landed(feeds)) == ["a.ndjson", "a.ndjson", "b.ndjson", "b.ndjson"]
    assert {rows[0][1] for rows in raw_content(feeds.raw).values()} == {A.decode().strip()}


def test_the_landing_area_may_be_a_link_itself(feeds: Feeds, secret: Path) -> None:
    feeds.deliver("a.ndjson", A)
    link = feeds.landing.with_name("link")
    link.symlink_to(feeds.landing)
    (feeds.folder / "b.ndjson").symlink_to(secret)
    report = feeds.land(str(link))
    assert [delivery.source_uri for delivery in report.new] == [f"file://{link}/search/{HOUR:%Y-%m-%d/%H}/a.ndjson"]
    assert len(report.warnings) == 1


@pytest.mark.parametrize("target", [".", "..", "../..", "../../.."])
def test_a_folder_that_loops_is_named(feeds: Feeds, target: str) -> None:
    feeds.deliver("a.ndjson", A)
    (feeds.folder / "loop").symlink_to(target)
    feeds.folder.with_name("11").symlink_to("../" * target.count("..") or ".")
    report = feeds.land()
    assert landed(feeds) == ["a.ndjson"]
    assert sum("loop is a link to a folder that it is in itself" in text for text in report.warnings) == 1
    assert len(report.warnings) == 2


def test_a_link_to_itself_is_named(feeds: Feeds) -> None:
    (feeds.folder / "a.ndjson").symlink_to("a.ndjson")
    assert feeds.land().warnings == [
        f"no feed is known for search/{HOUR:%Y-%m-%d/%H}/a.ndjson; it was not read"
    ]  # fmt: skip


def test_what_is_no_file_is_named(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds.deliver("a.ndjson", A)
    os.mkfifo(feeds.folder / "b.ndjson")
    monkeypatch.chdir(feeds.folder)
    with socket.socket(socket.AF_UNIX) as listening:
        # The whole path is too long for a socket.
        listening.bind("c.ndjson")
        report = feeds.land()
    place = f"search/{HOUR:%Y-%m-%d/%H}"
    assert landed(feeds) == ["a.ndjson"]
    assert report.warnings == [
        f"{place}/b.ndjson is a named pipe; it was not read", f"{place}/c.ndjson is a socket; it was not read",
    ]  # fmt: skip


@pytest.mark.skipif(not hasattr(os, "mknod") or os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_named(feeds: Feeds) -> None:
    device = feeds.folder / "zero.ndjson"
    try:
        os.mknod(device, 0o20644, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("no devices can be made here")
    assert feeds.land().warnings == [f"{device.relative_to(feeds.landing)} is a device; it was not read"]


def test_a_folder_that_becomes_a_link_is_not_followed(feeds: Feeds, secret: Path) -> None:
    """Between being looked up and being opened, which is as late as it can be."""
    path = feeds.deliver("secret.ndjson", A)
    files = LocalFiles(str(feeds.landing))
    real = os.path.realpath(path)
    feeds.folder.rename(feeds.folder.with_name("_moved"))
    feeds.folder.symlink_to(secret.parent)
    with pytest.raises(FileNotFoundError, match="replaced by a link"):
        files._descriptor(real)
    with pytest.raises(OSError, match="leads out of the landing area"):
        files.open(str(path))


def test_a_file_that_becomes_a_link_to_the_landing_area_is_not_followed(feeds: Feeds) -> None:
    path = feeds.deliver("a.ndjson", A)
    files = LocalFiles(str(feeds.landing))
    path.unlink()
    path.symlink_to(feeds.landing)
    with pytest.raises(OSError, match="link to the landing area itself"):
        files.open(str(path))


def test_a_path_without_links_is_opened_at_once_and_no_other(
    feeds: Feeds, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = feeds.deliver("a.ndjson", A)
    (feeds.folder / "link.ndjson").symlink_to(path)
    (feeds.landing / "linked").symlink_to(feeds.landing / "search")
    linked = feeds.landing / "linked" / path.relative_to(feeds.landing / "search")
    files = LocalFiles(str(feeds.landing))
    looked_up: list[str] = []

    def look_up(real: str) -> int:
        looked_up.append(real)
        return descriptor(real)

    descriptor = files._descriptor
    monkeypatch.setattr(files, "_descriptor", look_up)
    with files.open(str(path)) as file:
        assert (file.read(), file.name, file.fileno() > 2) == (A, str(path), True)
    assert len(looked_up) == (platform.system() != "Linux")
    looked_up.clear()
    for other in (feeds.folder / "link.ndjson", linked):
        with files.open(str(other)) as file:
            assert (file.read(), file.name) == (A, str(other))
    assert looked_up == [str(path)] * 2
    outside = [str(secret), f"{feeds.landing}/../{secret.relative_to(feeds.landing.parent)}", f"{feeds.landing}/.."]
    for location in outside:
        with pytest.raises(OSError, match="leads out of the landing area"):
            files.open(location)


def test_a_landing_area_that_is_a_link_is_opened_at_once(
    feeds: Feeds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = feeds.deliver("a.ndjson", A)
    link = tmp_path / "link"
    link.symlink_to(feeds.landing)
    files = LocalFiles(str(link))
    if platform.system() == "Linux":
        monkeypatch.setattr(files, "_descriptor", None)
    with files.open(str(link / path.relative_to(feeds.landing))) as file:
        assert file.read() == A


def test_without_the_call_files_are_opened_folder_by_folder(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activity_audit.ingest.sources.file_systems.open_plainly", lambda _: None)
    path = feeds.deliver("a.ndjson", A)
    with LocalFiles(str(feeds.landing)).open(str(path)) as file:
        assert file.read() == A


def test_what_is_checked_is_not_followed_either(feeds: Feeds, secret: Path) -> None:
    path = feeds.deliver("b.ndjson", B)
    path.unlink()
    path.symlink_to(secret)
    published = PublishedDelivery("id", "search", HOUR, "run", "b.ndjson", f"file://{path}", "0" * 64, 1, None)
    _, (finding,) = check_landing(str(feeds.landing), [published])
    assert (finding.problem, "leads out of the landing area" in finding.detail) == ("unreadable", True)


@pytest.mark.parametrize("url", ["simplecache::file://{}", "filecache::local://{}"])
def test_a_folder_of_this_machine_in_other_words_is_refused(feeds: Feeds, url: str) -> None:
    feeds.deliver("a.ndjson", A)
    with pytest.raises(SourceError, match="is a folder of this machine; write it as a path"):
        feeds.land(url.format(feeds.landing))
