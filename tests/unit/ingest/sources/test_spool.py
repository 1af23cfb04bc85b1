"""Feeds of our own: no record is lost, and none is in two deliveries, whoever is stopped when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from activity_audit.ingest.sources.spool import Spool

HOUR = datetime(2026, 5, 1, 10, tzinfo=UTC)
EVER = (HOUR - timedelta(days=1), HOUR + timedelta(days=1))
_WRITER = """
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from activity_audit.ingest.sources.spool import Spool

spool = Spool(Path(sys.argv[1]), "activity_audit")
for number in range(int(sys.argv[3])):
    spool.append({"eventId": f"{sys.argv[2]}{number}"}, datetime(2026, 5, 1, 10, 30, tzinfo=UTC))
    print(f"{sys.argv[2]}{number}", flush=True)
    # Whoever waits for the lock looks for it every 50 ms only, and is to find it free now and then.
    time.sleep(0.01)
"""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "own", "activity_audit")


def _delivered(spool: Spool) -> list[list[str]]:
    """The lines of each delivery that the source offers."""
    found = []
    for offer in spool.source().list(["activity_audit"], None).offers:
        with spool.source().open(offer) as stream:
            found.append(stream.read().decode().splitlines())
    return found


def _writer(folder: Path, name: str, records: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", _WRITER, str(folder), name, str(records)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_records_are_delivered_once_they_are_sealed(spool: Spool) -> None:
    assert (spool.unsealed(), _delivered(spool)) == ({}, [])
    spool.append({"eventId": "a"}, HOUR)
    spool.append({"eventId": "ä"}, HOUR + timedelta(minutes=59))
    spool.append({"eventId": "later"}, HOUR + timedelta(hours=1))
    assert _delivered(spool) == []
    assert list(spool.unsealed()) in ([HOUR, HOUR + timedelta(hours=1)], [HOUR + timedelta(hours=1), HOUR])
    spool.seal((HOUR, HOUR + timedelta(hours=1)))
    assert _delivered(spool) == [['{"eventId": "a"}', '{"eventId": "ä"}']]
    spool.append({"eventId": "b"}, HOUR)
    spool.seal(EVER)
    spool.seal(EVER)
    assert sorted(map(len, _delivered(spool))) == [1, 1, 2]
    assert spool.unsealed() == {}


def test_a_line_that_was_cut_short_takes_no_other_with_it(spool: Spool) -> None:
    spool.append({"eventId": "a"}, HOUR)
    ((path, _),) = spool.unsealed().values()
    with path.open("ab") as file:
        file.write(b'{"eventId": "tor')
    spool.append({"eventId": "b"}, HOUR)
    spool.seal(EVER)
    assert _delivered(spool) == [['{"eventId": "a"}', '{"eventId": "tor', '{"eventId": "b"}']]


def test_two_processes_append_while_a_third_seals(spool: Spool, tmp_path: Path) -> None:
    writers = [_writer(tmp_path / "own", name, 60) for name in "xy"]
    while any(writer.poll() is None for writer in writers):
        spool.seal(EVER)
        time.sleep(0.01)
    assert [writer.returncode for writer in writers] == [0, 0]
    spool.seal(EVER)
    deliveries = _delivered(spool)
    records = sorted(json.loads(line)["eventId"] for lines in deliveries for line in lines)
    assert records == sorted(f"{name}{number}" for name in "xy" for number in range(60))
    assert len(deliveries) > 1


def test_what_threads_append_at_once_is_brought_to_disk_together(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append({"eventId": "first"}, HOUR)
    synced: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), sync(descriptor)))
    with ThreadPoolExecutor(8) as pool:
        with FileLock(tmp_path / "own" / ".lock"):
            appended = [pool.submit(spool.append, {"eventId": str(number)}, HOUR) for number in range(8)]
            time.sleep(0.2)
            assert not any(one.done() for one in appended)
        for one in appended:
            one.result()
    spool.seal(EVER)
    ((_, *lines),) = _delivered(spool)
    assert sorted(json.loads(line)["eventId"] for line in lines) == [str(number) for number in range(8)]
    # One of them came first, and then the other seven; and the folder with the new name, when it was sealed.
    assert len(synced) == 3


def test_what_was_appended_outlives_its_process(spool: Spool, tmp_path: Path) -> None:
    writer = _writer(tmp_path / "own", "k", 100_000)
    assert writer.stdout is not None
    said = [writer.stdout.readline().strip() for _ in range(5)]
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.read().split()
    writer.wait()
    spool.append({"eventId": "after"}, HOUR)
    spool.seal(EVER)
    ((*found, last),) = _delivered(spool)
    assert [json.loads(line)["eventId"] for line in found][: len(said)] == said
    # The one that was under way may be there too.
    assert len(found) <= len(said) + 1
    assert json.loads(last)["eventId"] == "after"


def test_a_record_that_cannot_be_written_is_told(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file where the folder must be")
    with ThreadPoolExecutor(4) as pool:
        appended = [pool.submit(spool.append, {"eventId": str(number)}, HOUR) for number in range(4)]
        for one in appended:
            with pytest.raises(OSError, match="exists"):
                one.result()
    (tmp_path / "own").unlink()
    spool.append({"eventId": "a"}, HOUR)
    spool.seal(EVER)
    assert _delivered(spool) == [['{"eventId": "a"}']]
