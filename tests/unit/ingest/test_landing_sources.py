"""Where a pass looks for deliveries: any folder or file system, which files are none, and odd names."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from activity_audit.ingest.landing import changed_offers, open_index
from activity_audit.ingest.sources.file_systems import name_of, path_of, shown_path, uri_of
from activity_audit.ingest.sources.files import FileSource
from activity_audit.ingest.sources.source import READING, SourceError
from activity_audit.raw.index import INDEX_NAME
from activity_audit.raw.lake import local_lake
from tests.unit.raw_lake import FEEDS, HOUR, A, B, C, Feeds, indexed, raw_content
from tests.unit.raw_lake import raw_files as final_names


def test_what_no_feed_is_known_for_is_named(feeds: Feeds) -> None:
    unknown = ["nope/2026-05-01/10/a.ndjson", "readme.txt", "search/2026-5-1/10/a.ndjson", "search/2026-02-30/x"]
    unknown += ["search/2026-05-01/24/a.ndjson", "search/2026-05-01/x.ndjson", "search/2026-05-01/10/a.xml"]
    unknown += ["search/2026-05-01/10/ndjson", "search/2026-05-01/10/sub.ndjson/a.ndjson"]
    for name in unknown:
        (feeds.landing / name).parent.mkdir(parents=True, exist_ok=True)
        (feeds.landing / name).write_bytes(A)
    (feeds.folder / "lost.ndjson").symlink_to("nowhere")
    feeds.deliver("a.ndjson", A)
    report = feeds.land()
    assert [delivery.name for delivery in report.new] == ["a.ndjson"]
    assert sorted(report.unknown) == [
        "nope/",
        "readme.txt",
        "search/2026-02-30",
        "search/2026-05-01/10/a.xml",
        "search/2026-05-01/10/lost.ndjson",
        "search/2026-05-01/10/ndjson",
        "search/2026-05-01/10/sub.ndjson",
        "search/2026-05-01/24",
        "search/2026-05-01/x.ndjson",
        "search/2026-5-1",
    ]
    assert "no feed is known for nope/; it was not read" in report.warnings


@pytest.mark.parametrize("name", [".a.ndjson", "_a.ndjson", "a.ndjson.tmp", "a.ndjson.PART", ".hidden"])
def test_unfinished_and_private_files_are_no_feeds(feeds: Feeds, name: str) -> None:
    feeds.deliver(name, A)
    (feeds.landing / name).write_bytes(A)
    report = feeds.land()
    assert (report.new, report.unknown) == ([], [])


NAMES = [
    "a b.ndjson",
    'it\'s "it".ndjson',
    "Ünï 🎉.ndjson",
    "a#b?c.ndjson",
    "50%25.ndjson",
    "*[x].ndjson",
    "a\nb.ndjson",
]


# Their texts were the same once.
ALIKE = [os.fsdecode(b"twin\xff.ndjson"), r"twin\xff.ndjson"]
FILE_NAME = st.binary(min_size=1, max_size=12).filter(lambda name: not {*b"/\0"} & {*name})


@pytest.mark.parametrize("as_url", [False, True], ids=["path", "url"])
def test_odd_names(feeds: Feeds, as_url: bool) -> None:
    for name in NAMES:
        feeds.deliver(name, A)
    undecodable = os.fsencode(feeds.folder) + b"/\xff.ndjson"
    Path(os.fsdecode(undecodable)).write_bytes(A)
    report = feeds.land(f"file://{feeds.landing}" if as_url else None)
    assert sorted(delivery.name for delivery in report.new) == sorted([*NAMES, r"\/xff.ndjson"])
    assert all(rows == [(1, A.decode().strip(), None, None, 15, None)] for rows in raw_content(feeds.raw).values())
    assert len(final_names(feeds.raw)) == len(NAMES) + 1
    known = indexed(feeds)
    (feeds.raw / INDEX_NAME).unlink()
    assert indexed(feeds) == known


def test_names_that_look_alike_are_two(feeds: Feeds) -> None:
    """Even with the same content: each is a delivery, and is known by the next look."""
    for name in ALIKE:
        feeds.deliver(name, A)
    report = feeds.land()
    assert {delivery.name for delivery in report.new} == {r"twin\xff.ndjson", r"twin\/xff.ndjson"}
    assert {path_of(delivery.source_uri) for delivery in report.new} == {str(feeds.folder / name) for name in ALIKE}
    listing = FileSource(str(feeds.landing), FEEDS).list(FEEDS, None)
    assert len(listing.offers) == 2
    assert changed_offers(open_index(local_lake(feeds.raw)), listing) == []
    feeds.deliver(ALIKE[0], B)
    (changed,) = feeds.land().new
    assert path_of(changed.source_uri) == str(feeds.folder / ALIKE[0])


@given(names=st.lists(FILE_NAME, min_size=2, max_size=2, unique=True))
@example(names=[b"\xff", b"\\xff"])
@example(names=[b"\xff", b"%FF"])
@example(names=[b"reading\xff.ndjson", b"localhost"])
def test_no_two_names_have_a_text_in_common(names: list[bytes]) -> None:
    found = [os.fsdecode(name) for name in names]
    paths = [f"/landing/{name}" for name in found]
    assert len({name_of(name) for name in found}) == 2
    assert len({uri_of(path) for path in paths}) == 2
    assert len({shown_path(path) for path in paths}) == 2
    assert [path_of(uri_of(path)) for path in paths] == paths
    for name, path in zip(names, found, strict=True):
        name_of(path).encode()
        assert not name_of(path).startswith(READING)
        with suppress(UnicodeDecodeError):
            text = name.decode()
            assert (name_of(path), uri_of(f"/landing/{path}")) == (text, f"file:///landing/{text}")


def test_a_uri_of_another_place_has_no_path() -> None:
    assert [path_of(uri) for uri in ("s3://b/a", "file://elsewhere/a", "/a", "")] == [None] * 4


def test_a_folder_of_any_name_can_be_the_landing_area(feeds: Feeds) -> None:
    root = feeds.landing.with_name(os.fsdecode(b"land\xff"))
    feeds.deliver("a.ndjson", A)
    feeds.landing.rename(root)
    (delivery,) = feeds.land(str(root)).new
    assert delivery.name == "a.ndjson"
    assert path_of(delivery.source_uri) == str(root / feeds.folder.relative_to(feeds.landing) / "a.ndjson")
    assert feeds.land(str(root)).new == []


def test_a_window_and_feeds_are_kept_to(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    source = FileSource(str(feeds.landing), FEEDS)
    assert source.list(FEEDS, (HOUR, HOUR + timedelta(hours=1))).offers
    assert source.list(FEEDS, (HOUR - timedelta(hours=9), HOUR)).offers == []
    assert source.list(FEEDS, (HOUR + timedelta(hours=1), HOUR + timedelta(days=9))).offers == []
    assert source.list(["bi"], None).offers == []


def test_a_remote_file_system(feeds: Feeds) -> None:
    memory = fsspec.filesystem("memory")
    root = f"memory://{feeds.raw.parent.name}"
    try:
        path = f"{root}/search/{HOUR:%Y-%m-%d/%H}/a b#?%.ndjson.zst"
        memory.pipe(path, zstandard.compress(A + B))
        memory.pipe(f"{root}/nope/x", b"")
        report = feeds.land(root)
        assert [(delivery.name, delivery.records) for delivery in report.new] == [("a b#?%.ndjson.zst", 2)]
        assert report.unknown == ["nope/"]
        assert feeds.land(root).new == []
        memory.pipe(path, zstandard.compress(A + C))
        assert len(feeds.land(root).new) == 1
        assert list((feeds.raw / ".scratch").iterdir()) == [feeds.raw / ".scratch/lock"]
    finally:
        memory.rm(root, recursive=True)


def test_a_folder_by_any_of_its_names(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds.deliver("a.ndjson", A)
    monkeypatch.chdir(feeds.landing.parent)
    assert len(feeds.land("landing").new) == 1
    for root in (
        str(feeds.landing),
        f"file://{str(feeds.landing).replace('l', '%6C')}",
        f"file://{feeds.landing}",
        f"local://{feeds.landing}",
        "./landing/",
    ):
        assert changed_offers(open_index(local_lake(feeds.raw)), FileSource(root, FEEDS).list(FEEDS, None)) == []


def test_a_root_that_is_not_there_or_no_folder(feeds: Feeds) -> None:
    assert feeds.land(str(feeds.landing / "nope")).new == []
    with pytest.raises(SourceError, match="cannot be listed"):
        feeds.land(str(feeds.deliver("a.ndjson", A)))
    with pytest.raises(SourceError, match="AUDIT_FEED_URL"):
        feeds.land("nosuchscheme://x")
