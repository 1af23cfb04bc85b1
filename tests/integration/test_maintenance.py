"""Upkeep changes the files, never what the warehouse says."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

from orchestration import lake
from orchestration.maintenance import maintain
from orchestration.settings import Settings
from tests.integration.support import deliver, dump, event, lines, one, run

COUNT = "select count(*) from fact_activity_event"


def _files(settings: Settings) -> set[Path]:
    return set((settings.home / "warehouse/data").rglob("*.parquet"))


def _age(settings: Settings, days: int) -> None:
    """Make all that the catalog remembers this much older."""
    with sqlite3.connect(settings.home / "warehouse/catalog.sqlite") as catalog:
        for table, column in (
            ("ducklake_snapshot", "snapshot_time"),
            ("ducklake_files_scheduled_for_deletion", "schedule_start"),
        ):
            older = f"strftime('%Y-%m-%d %H:%M:%f+00', substr({column}, 1, 23), '-{days} day')"
            catalog.execute(f"update {table} set {column} = {older}")


def test_upkeep_merges_files_and_expires_snapshots(settings: Settings) -> None:
    runs = []
    for hour in range(4):
        deliver(settings, lines([event(f"{hour}-{n}") for n in range(20)]), hour=hour)
        runs.append(run(settings, hour).run_id)
    before, files = dump(settings, set()), _files(settings)
    with lake.reader(settings) as reading:
        assert reading.execute(COUNT).fetchall() == [(80,)]
        kept = maintain(settings)
        assert reading.execute(COUNT).fetchall() == [(80,)]
    assert kept["data files after"] < kept["data files before"]
    assert kept["snapshots after"] >= kept["snapshots before"]
    assert dump(settings, set()) == before
    assert [one(settings, COUNT, at) for at in runs] == [20, 40, 60, 80]
    # A reader may still be in the middle of a file that has just been merged away.
    assert files <= _files(settings)

    # A retention of hours keeps what is minutes old, although DuckLake compares the catalog's times as text.
    kept = maintain(settings.model_copy(update={"snapshot_retention": timedelta(minutes=1)}))
    assert kept["snapshots after"] == kept["snapshots before"]

    _age(settings, days=40)
    expired = maintain(settings)
    assert expired["snapshots after"] < expired["snapshots before"]
    assert not {path for path in files & _files(settings) if "fact_activity_event" in path.parts}
    assert dump(settings, set()) == before
    deliver(settings, lines([event("after")]), hour=5)
    run(settings, 5)
    assert one(settings, COUNT) == 81
