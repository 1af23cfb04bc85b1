"""A pass that fails, is killed, or has another beside it: nothing is lost, nothing is half there."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activity_audit.base import disk
from activity_audit.ingest import landing, landing_pass
from activity_audit.raw import store
from activity_audit.raw.index import INDEX_NAME, RawIndex
from tests import warm_process
from tests.unit.raw_lake import LANDED_AT, A, B, Feeds, indexed, raw_content
from tests.unit.raw_lake import raw_files as final_names


def every_kind(feeds: Feeds) -> None:
    """A folder with deliveries of many kinds, also broken ones."""
    for n in range(12):
        content = b"".join(b'{"eventId":"%d-%d"}\n' % (n, m) for m in range(300))
        feeds.deliver(f"{n}.ndjson", content)
        feeds.deliver(f"{n}.ndjson.gz", gzip.compress(content, mtime=0)[: -n * 9 or None])
        feeds.deliver(f"{n}.csv", b"eventId,n\n" + b"".join(b"%d,%d\n" % (n, m) for m in range(300)) + b'"')
    feeds.deliver("_manifest.json", b'{"files":[{"name":"1.csv","records":301}]}')


def test_a_lost_index_is_rebuilt_as_it_was(feeds: Feeds) -> None:
    every_kind(feeds)
    feeds.land()
    known, before = indexed(feeds), raw_content(feeds.raw)
    assert [len(part) for part in known] == [36, 1]
    for path in feeds.raw.glob(f"{INDEX_NAME}*"):
        path.unlink()
    assert indexed(feeds) == known
    for path in feeds.raw.glob(f"{INDEX_NAME}*"):
        path.unlink()
    report = feeds.land(at=LANDED_AT + timedelta(hours=1))
    assert (report.new, report.new_manifests) == ([], [])
    assert (indexed(feeds), raw_content(feeds.raw)) == (known, before)


@pytest.mark.parametrize("place", ["write_parquet", "_publish"])
def test_a_crash_while_writing_leaves_nothing(feeds: Feeds, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.deliver("_manifest.json", b"{}")

    module = store if place == "_publish" else landing_pass
    real = getattr(module, place)

    def crash(*arguments: Any) -> None:
        if place == "write_parquet":
            real(*arguments)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, place, crash)
        # While it is written only that delivery fails; it is given its name together with others.
        if place == "write_parquet":
            (aside,) = feeds.land().set_aside
            assert "No space" in aside.sentence
        else:
            with pytest.raises(OSError, match="No space"):
                feeds.land()
    assert [name for name in final_names(feeds.raw) if name.endswith(".parquet")] == []
    assert indexed(feeds)[0] == []
    assert [delivery.name for delivery in feeds.land().new] == ["a.ndjson"]
    assert len(indexed(feeds)[1]) == 1
    assert list((feeds.raw / ".scratch").iterdir()) == [feeds.raw / ".scratch/lock"]


def test_a_crash_before_the_index_loses_nothing(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    path = feeds.deliver("a.ndjson", A)
    with monkeypatch.context() as patch:
        patch.setattr("activity_audit.ingest.landing._record", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            feeds.land()
    assert len(final_names(feeds.raw)) == 1
    # Even where the source has lost it since.
    path.unlink()
    feeds.land()
    assert [delivery.name for delivery in indexed(feeds)[0]] == ["a.ndjson"]


@pytest.mark.parametrize("together", [False, True])
def test_contents_are_on_disk_before_names_and_names_before_the_index(
    feeds: Feeds, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    every_kind(feeds)
    synced: set[int] = set()
    fsync, link, add = os.fsync, os.link, RawIndex.add

    def remember(descriptor: int) -> None:
        fsync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    def remember_all(_: int) -> None:
        synced.update(path.stat().st_ino for path in feeds.raw.rglob("*"))

    def name(source: Path, target: Path) -> None:
        assert source.stat().st_ino in synced
        # A name that is given after its folder was brought to disk is not there yet.
        synced.discard(target.parent.stat().st_ino)
        link(source, target)

    def record(index: RawIndex, deliveries: list[Any], *others: Any) -> Any:
        folders = {(feeds.raw / delivery.raw_path).parent for delivery in deliveries}
        assert {folder.stat().st_ino for folder in folders} <= synced
        return add(index, deliveries, *others)

    monkeypatch.setattr(disk, "whole_sync", lambda _: remember_all if together else None)
    monkeypatch.setattr(disk, "_MANY", 1)
    monkeypatch.setattr(os, "fsync", remember)
    monkeypatch.setattr(os, "link", name)
    monkeypatch.setattr(RawIndex, "add", record)
    monkeypatch.setattr(landing, "_TOGETHER", 5)
    assert len(feeds.land().new) == 36


@pytest.mark.parametrize("change", ["grows", "goes"])
def test_what_changes_while_it_is_read_waits(feeds: Feeds, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    path = feeds.deliver("a.ndjson", A)
    real = landing_pass.write_parquet

    def meanwhile(*arguments: Any) -> int:
        path.write_bytes(A + B) if change == "grows" else path.unlink()
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(landing_pass, "write_parquet", meanwhile)
        report = feeds.land()
    assert (report.new, report.deferred) == ([], [f"file://{path}"])
    assert final_names(feeds.raw) == []
    assert [delivery.records for delivery in feeds.land().new] == ([2] if change == "grows" else [])


PASS = """
import sys
from pathlib import Path
from tests.unit.raw_lake import Feeds
print("ready", flush=True)
sys.stdin.readline()
Feeds(Path(sys.argv[1])).land()
"""


def start(feeds: Feeds) -> subprocess.Popen[str]:
    """A landing pass in a process of its own; it begins when a line is written to it."""
    return warm_process.Popen(
        [sys.executable, "-c", PASS, str(feeds.raw.parent)],
        cwd=Path(__file__).parents[3],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


def undisturbed(home: Path) -> tuple[dict[str, Any], float]:
    """The raw lake of a pass in peace, and how long it took."""
    calm = Feeds(home)
    every_kind(calm)
    started = time.monotonic()
    calm.land()
    return raw_content(calm.raw), time.monotonic() - started


def test_killed_passes_leave_no_trace(feeds: Feeds, tmp_path: Path) -> None:
    expected, seconds = undisturbed(tmp_path / "calm")
    every_kind(feeds)
    moments = random.Random(7)
    killed = 0
    # What was measured may be longer than what a pass takes now: the first one is killed early.
    for share in (0.2, 0.5, 1):
        with start(feeds) as process:
            begin(process)
            time.sleep(moments.uniform(0.02, max(seconds * share, 0.1)))
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
        # Whatever has a final name is whole.
        assert all(rows == expected[name] for name, rows in raw_content(feeds.raw).items())
    assert killed
    feeds.land()
    assert raw_content(feeds.raw) == expected
    assert len(indexed(feeds)[0]) == 36
    assert list((feeds.raw / ".scratch").iterdir()) == [feeds.raw / ".scratch/lock"]


def test_two_passes_at_once(feeds: Feeds, tmp_path: Path) -> None:
    expected, _ = undisturbed(tmp_path / "calm")
    every_kind(feeds)
    with start(feeds) as first, start(feeds) as second:
        begin(first)
        begin(second)
        for process in (first, second):
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
    assert raw_content(feeds.raw) == expected
    assert len(indexed(feeds)[0]) == 36
