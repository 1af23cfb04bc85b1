"""Upkeep changes the files, never what the warehouse says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from activity_audit.settings.core import Settings
from activity_audit.upkeep import compaction, maintenance
from activity_audit.upkeep.compaction import FULL_FILE, to_rewrite
from activity_audit.upkeep.maintenance import maintain
from activity_audit.warehouse import lake
from activity_audit.warehouse.contract import PublishedModel
from orchestration.old_runs import forget_old_runs
from tests.integration.support import audit, begin, deliver, dump, event, lines, one, run
from tests.integration.tampering import copied, fact_files, findings

COUNT = "select count(*) from fact_activity_event"


def _files(settings: Settings) -> set[Path]:
    return set((settings.home / "warehouse/data").rglob("*.parquet"))


_AGE = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1], timeout=60) as catalog:
    for table, column in (("ducklake_snapshot", "snapshot_time"),
                          ("ducklake_files_scheduled_for_deletion", "schedule_start")):
        older = f"strftime('%Y-%m-%d %H:%M:%f+00', substr({column}, 1, 23), '-{sys.argv[2]} day')"
        catalog.execute(f"update {table} set {column} = {older}")
"""


def age(settings: Settings, days: int) -> None:
    """Make all that the catalog remembers this much older, by a process of its own.

    In one process Python's SQLite and DuckDB's would drop each other's locks on the file.
    """
    catalog = str(settings.home / "warehouse/catalog.sqlite")
    subprocess.run([sys.executable, "-S", "-c", _AGE, catalog, str(days)], check=True)


@pytest.mark.slow
def test_upkeep_merges_files_and_expires_snapshots(settings: Settings) -> None:
    runs = []
    for hour in range(4):
        deliver(settings, lines([event(f"{hour}-{n}") for n in range(20)]), hour=hour)
        runs.append(run(settings, hour).run_id)
    before, files = dump(settings, set()), _files(settings)
    kept = maintain(settings)
    assert kept.counts["data files after"] < kept.counts["data files before"]
    assert kept.counts["snapshots after"] >= kept.counts["snapshots before"]
    assert dump(settings, set()) == before
    assert [one(settings, COUNT, at) for at in runs] == [20, 40, 60, 80]
    # A reader may still be in the middle of a file that has just been compacted away.
    assert files <= _files(settings)

    # A retention of hours keeps what is minutes old, although DuckLake compares the catalog's times as text.
    kept = maintain(settings.model_copy(update={"snapshot_retention": timedelta(minutes=1)}))
    assert kept.counts["snapshots after"] == kept.counts["snapshots before"]

    age(settings, days=40)
    expired = maintain(settings)
    assert expired.counts["snapshots after"] < expired.counts["snapshots before"]
    age(settings, days=2)
    maintain(settings)
    assert not {path for path in files & _files(settings) if "fact_activity_event" in path.parts}
    assert dump(settings, set()) == before
    deliver(settings, lines([event("after")]), hour=5)
    run(settings, 5)
    assert one(settings, COUNT) == 81


def test_a_reader_of_what_was_the_newest_snapshot_goes_on(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was published for long, and then a run and an upkeep come while somebody reads; later it is told."""
    begin(settings, event("a"))
    age(settings, days=40)
    with lake.reader(settings, pinned=True) as connection:
        connection.execute("from fact_activity_event").fetchall()
        deliver(settings, lines([event("b")]), hour=1)
        run(settings, 1)
        maintain(settings)
        assert connection.execute("select event_id from fact_activity_event").fetchall() == [("a",)]
        # A table that it has not looked at before.
        assert len(connection.execute("from quality.pipeline_run").fetchall()) == 1
    age(settings, days=40)

    def read_too_late() -> None:
        with lake.reader(settings, pinned=True) as connection:
            deliver(settings, lines([event("c")]), hour=2)
            run(settings, 2)
            maintain(settings)
            connection.execute("from quality.feed_delivery").fetchall()

    monkeypatch.setattr(maintenance, "_GRACE", timedelta())
    with pytest.raises(lake.WarehouseError, match="expired the snapshot"):
        read_too_late()


def test_a_transaction_keeps_what_it_read_while_runs_publish(settings: Settings) -> None:
    """A second deletion from a data file replaces its delete file, which the transaction must not miss."""
    read = "select feed, feed_hour_utc, received from quality.feed_reconciliation order by all"
    begin(settings, *(event(f"a{hour}", eventTime=f"2026-05-01T{10 + hour}:00:00Z") for hour in range(3)))
    deliver(settings, lines([event("late")]), "late.ndjson")
    run(settings)
    with lake.reader(settings) as connection:
        connection.execute("begin")
        before = connection.execute(read).fetchall()
        for number in range(2):
            deliver(settings, lines([event(f"qm-{number}")]), f"{number}.ndjson", feed="qm")
            run(settings)
            assert connection.execute(read).fetchall() == before
        connection.execute("commit")
        assert connection.execute(read).fetchall() != before


def test_only_many_small_files_of_one_partition_are_rewritten() -> None:
    few = [(f"t/day=1/{n}", 10) for n in range(3)]
    many = [(f"t/day=2/{n}", 10) for n in range(4)]
    full = [(f"t/day={day}/full", FULL_FILE) for day in (1, 2)]
    assert to_rewrite(few + many + full) == [[path for path, _ in many]]


def test_files_are_rewritten_together_up_to_a_full_one() -> None:
    third = FULL_FILE // 3 + 1
    files = [(f"t/day=1/{n}", third) for n in range(7)]
    # The last is alone, and stays until there are others.
    assert to_rewrite(reversed(files)) == [[path for path, _ in files[:3]], [path for path, _ in files[3:6]]]
    bytes_of = dict(files := [(f"t/day={n % 2}/{n:05}", n * 7919 % FULL_FILE) for n in range(1, 5000)])
    groups = to_rewrite(files)
    assert max(sum(map(bytes_of.get, group)) for group in groups) < 2 * FULL_FILE  # type: ignore[arg-type]
    assert {len({path.rsplit("/", 1)[0] for path in group}) for group in groups} == {1}
    assert sum(map(len, groups)) >= len(files) - 2


def test_a_rewrite_takes_a_bounded_part_of_a_table(
    integrity_home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied(integrity_home, tmp_path / "home")
    for hour in (2, 3):
        deliver(home, lines([event(f"{hour}-{n}") for n in range(20)]), hour=hour)
        run(home, hour)
    before, rows = dump(home, set()), []
    rewrite = compaction._rewrite

    def watched(connection: duckdb.DuckDBPyConnection, model: PublishedModel, files: Sequence[str]) -> None:
        rewrite(connection, model, files)
        if model.name == "fact_activity_event":
            rows.append(connection.execute("select count(*) from work.main.compacted").fetchall()[0][0])

    monkeypatch.setattr(compaction, "_rewrite", watched)
    # Two of these files are more than a full one.
    size = min(path.stat().st_size for path in fact_files(home))
    monkeypatch.setattr(compaction, "FULL_FILE", 2 * size - 1)
    kept = maintain(home)
    assert kept.counts["data files after"] < kept.counts["data files before"]
    assert rows == [80, 40]
    assert one(home, COUNT) == sum(rows)
    assert dump(home, set()) == before
    assert findings(home) == []


@pytest.mark.slow
def test_upkeep_forgets_old_runs_and_keeps_the_rest(settings: Settings) -> None:
    deliver(settings, lines([event("a")]))
    audit(settings, "run")
    events = settings.home / "dagster/history/runs"
    assert len(list(events.glob("*-*.db"))) == 1
    assert maintain(settings, forget_runs=forget_old_runs).counts["runs forgotten"] == 0
    assert len(list(events.glob("*-*.db"))) == 1
    output = settings.home / "dagster/storage"
    assert len(list(output.rglob("*.err"))) == 1
    brief = settings.model_copy(update={"run_history": timedelta(0)})
    assert maintain(brief, forget_runs=forget_old_runs).counts["runs forgotten"] == 1
    assert not list(events.glob("*-*.db"))
    assert not list(output.iterdir())
    assert one(settings, COUNT) == 1
    assert [path.name for path in settings.work_dir.iterdir()] == ["spill"]
