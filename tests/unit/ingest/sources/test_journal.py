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

from activity_audit.ingest.sources.journal import Journal

HOUR = datetime(2026, 5, 1, 10, tzinfo=UTC)
EVER = (HOUR - timedelta(days=1), HOUR + timedelta(days=1))
_WRITER = """
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from activity_audit.ingest.sources.journal import Journal

journal = Journal(Path(sys.argv[1]), "activity_audit")
for number in range(int(sys.argv[3])):
    journal.append({"eventId": f"{sys.argv[2]}{number}"}, datetime(2026, 5, 1, 10, 30, tzinfo=UTC))
    print(f"{sys.argv[2]}{number}", flush=True)
    # Whoever waits for the lock looks for it every 50 ms only, and is to find it free now and then.
    time.sleep(0.01)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "own", "activity_audit")


def _delivered(journal: Journal) -> list[list[str]]:
    """The lines of each delivery that the source offers."""
    found = []
    for offer in journal.source().list(["activity_audit"], None).offers:
        with journal.source().open(offer) as stream:
            found.append(stream.read().decode().splitlines())
    return found


def _writer(folder: Path, name: str, records: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", _WRITER, str(folder), name, str(records)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_records_are_delivered_once_they_are_sealed(journal: Journal) -> None:
    assert (journal.unsealed(), _delivered(journal)) == ({}, [])
    journal.append({"eventId": "a"}, HOUR)
    journal.append({"eventId": "ä"}, HOUR + timedelta(minutes=59))
    journal.append({"eventId": "later"}, HOUR + timedelta(hours=1))
    assert _delivered(journal) == []
    assert list(journal.unsealed()) in ([HOUR, HOUR + timedelta(hours=1)], [HOUR + timedelta(hours=1), HOUR])
    journal.seal((HOUR, HOUR + timedelta(hours=1)))
    assert _delivered(journal) == [['{"eventId": "a"}', '{"eventId": "ä"}']]
    journal.append({"eventId": "b"}, HOUR)
    journal.seal(EVER)
    journal.seal(EVER)
    assert sorted(map(len, _delivered(journal))) == [1, 1, 2]
    assert journal.unsealed() == {}


def test_a_line_that_was_cut_short_takes_no_other_with_it(journal: Journal) -> None:
    journal.append({"eventId": "a"}, HOUR)
    ((path, _),) = journal.unsealed().values()
    with path.open("ab") as file:
        file.write(b'{"eventId": "tor')
    journal.append({"eventId": "b"}, HOUR)
    journal.seal(EVER)
    assert _delivered(journal) == [['{"eventId": "a"}', '{"eventId": "tor', '{"eventId": "b"}']]


def test_two_processes_append_while_a_third_seals(journal: Journal, tmp_path: Path) -> None:
    writers = [_writer(tmp_path / "own", name, 60) for name in "xy"]
    while any(writer.poll() is None for writer in writers):
        journal.seal(EVER)
        time.sleep(0.01)
    assert [writer.returncode for writer in writers] == [0, 0]
    journal.seal(EVER)
    deliveries = _delivered(journal)
    records = sorted(json.loads(line)["eventId"] for lines in deliveries for line in lines)
    assert records == sorted(f"{name}{number}" for name in "xy" for number in range(60))
    assert len(deliveries) > 1


def test_what_threads_append_at_once_is_brought_to_disk_together(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append({"eventId": "first"}, HOUR)
    synced: list[int] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(descriptor), sync(descriptor)))
    with ThreadPoolExecutor(8) as pool:
        with FileLock(tmp_path / "own" / ".lock"):
            appended = [pool.submit(journal.append, {"eventId": str(number)}, HOUR) for number in range(8)]
            time.sleep(0.2)
            assert not any(one.done() for one in appended)
        for one in appended:
            one.result()
    journal.seal(EVER)
    ((_, *lines),) = _delivered(journal)
    assert sorted(json.loads(line)["eventId"] for line in lines) == [str(number) for number in range(8)]
    # One of them came first, and then the other seven; and the folder with the new name, when it was sealed.
    assert len(synced) == 3


def test_what_was_appended_outlives_its_process(journal: Journal, tmp_path: Path) -> None:
    writer = _writer(tmp_path / "own", "k", 100_000)
    assert writer.stdout is not None
    said = [writer.stdout.readline().strip() for _ in range(5)]
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.read().split()
    writer.wait()
    journal.append({"eventId": "after"}, HOUR)
    journal.seal(EVER)
    ((*found, last),) = _delivered(journal)
    assert [json.loads(line)["eventId"] for line in found][: len(said)] == said
    # The one that was under way may be there too.
    assert len(found) <= len(said) + 1
    assert json.loads(last)["eventId"] == "after"


def test_a_record_that_cannot_be_written_is_told(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file where the folder must be")
    with ThreadPoolExecutor(4) as pool:
        appended = [pool.submit(journal.append, {"eventId": str(number)}, HOUR) for number in range(4)]
        for one in appended:
            with pytest.raises(OSError, match="exists"):
                one.result()
    (tmp_path / "own").unlink()
    journal.append({"eventId": "a"}, HOUR)
    journal.seal(EVER)
    assert _delivered(journal) == [['{"eventId": "a"}']]
