"""The event log that Dagster writes to: few databases are open, and what is deleted is gone and can come again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry

from orchestration import storage as dagster_storage
from orchestration.storage import BatchedSqliteEventLogStorage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[BatchedSqliteEventLogStorage]:
    storage = BatchedSqliteEventLogStorage(str(tmp_path))
    yield storage
    storage.dispose()


def _said(run_id: str, text: str) -> EventLogEntry:
    return EventLogEntry(
        error_info=None, user_message=text, level="INFO", run_id=run_id, timestamp=0.0, step_key=None,
        job_name="hourly", dagster_event=None,
    )  # fmt: skip


def _texts(base: Path, run_id: str) -> list[str]:
    """What the log has of a run, read by a storage of its own."""
    reading = BatchedSqliteEventLogStorage(str(base))
    try:
        return [entry.user_message for entry in reading.get_logs_for_run(run_id)]
    finally:
        reading.dispose()


def _open_runs(base: Path) -> set[str]:
    """The runs whose databases this process has open."""
    open_files = {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
    return {path.stem for path in base.glob("*-*.db") if str(path) in open_files}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux tells which files a process has open")
def test_a_process_that_looks_at_many_runs_keeps_few_databases_open(
    storage: BatchedSqliteEventLogStorage, tmp_path: Path
) -> None:
    runs = [str(uuid4()) for _ in range(3 * dagster_storage._OPEN_RUNS)]
    for number in range(2):
        for run_id in runs:
            storage.store_event(_said(run_id, str(number)))
            assert len(_open_runs(tmp_path)) <= dagster_storage._OPEN_RUNS
            assert run_id in _open_runs(tmp_path)
    assert _open_runs(tmp_path) == set(runs[-dagster_storage._OPEN_RUNS :])
    # Whatever was let go of meanwhile has lost nothing.
    assert {tuple(_texts(tmp_path, run_id)) for run_id in runs} == {("0", "1")}
    storage.dispose()
    assert _open_runs(tmp_path) == set()


def test_a_run_whose_events_were_deleted_begins_anew(storage: BatchedSqliteEventLogStorage, tmp_path: Path) -> None:
    gone, kept = str(uuid4()), str(uuid4())
    for run_id in (gone, kept):
        storage.store_event(_said(run_id, "before"))
    storage.delete_events(gone)
    assert _texts(tmp_path, gone) == []
    # As `audit maintain` does; a database that is still open would go on taking events, and nobody would find them.
    Path(storage.path_for_shard(gone)).unlink()
    storage.store_event(_said(gone, "after"))
    assert _texts(tmp_path, gone) == ["after"]
    assert _texts(tmp_path, kept) == ["before"]


def test_the_same_events_one_by_one_and_in_a_batch(tmp_path: Path) -> None:
    """What the index of assets has is the same, whichever way they came."""
    found = []
    for name in ("single", "batch"):
        storage = BatchedSqliteEventLogStorage(str(tmp_path / name))
        run_id = str(uuid4())
        entries = [_materialized(run_id, hour) for hour in ("2026-05-01-10:00", "2026-05-01-11:00")]
        if name == "batch":
            storage.store_event_batch(entries)
        else:
            for entry in entries:
                storage.store_event(entry)
        key = dg.AssetKey("raw")
        found.append((
            [entry.dagster_event.partition for entry in storage.get_logs_for_run(run_id) if entry.dagster_event],
            sorted(storage.get_materialized_partitions(key)),
            [known.last_materialization.dagster_event.partition for known in _records(storage, key)],
        ))  # fmt: skip
        storage.dispose()
    assert found[0] == found[1]
    assert found[0][1] == ["2026-05-01-10:00", "2026-05-01-11:00"]


def _records(storage: BatchedSqliteEventLogStorage, key: dg.AssetKey) -> list:
    return [record.asset_entry for record in storage.get_asset_records([key])]


def _materialized(run_id: str, hour: str) -> EventLogEntry:
    from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData

    event = DagsterEvent(
        DagsterEventType.ASSET_MATERIALIZATION.value, "hourly",
        event_specific_data=StepMaterializationData(dg.AssetMaterialization("raw", partition=hour), []),
    )  # fmt: skip
    return EventLogEntry(
        error_info=None, user_message="", level="INFO", run_id=run_id, timestamp=0.0, step_key=None,
        job_name="hourly", dagster_event=event,
    )  # fmt: skip
