"""Who reads the catalog's list of files, and not by DuckDB, reads what the tables say."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from activity_audit.dbt_runner.project import manifest
from activity_audit.evidence.verify.verify import verify
from activity_audit.settings.core import Settings
from activity_audit.upkeep.maintenance import Allowed, maintain
from activity_audit.warehouse import lake
from activity_audit.warehouse import tables as warehouse_tables
from activity_audit.warehouse.contract import published_models
from tests.integration.retention_support import EARLIER, keeping
from tests.integration.support import deliver, dump, event, lines, query, run
from tests.integration.tampering import copied
from tests.integration.upkeep.test_maintenance import age

TABLES = [(model.schema, model.name) for model in published_models(manifest()) if model.is_table]


def counted_by_duckdb(settings: Settings) -> dict[str, int]:
    with lake.reader(settings) as connection:
        return {
            f"{schema}.{name}": connection.execute(f"select count(*) from {schema}.{name}").fetchall()[0][0]
            for schema, name in TABLES
        }


def counted_by_files(settings: Settings) -> dict[str, int]:
    """The rows of the files that are current in the catalog, without those that its delete files name."""
    found = {}
    with sqlite3.connect(settings.home / "warehouse/catalog.sqlite") as catalog:
        for schema, name in TABLES:
            folder = settings.home / "warehouse/data" / schema / name
            rows = catalog.execute(
                "select file.path, deleted.path from ducklake_data_file as file "
                "left join ducklake_delete_file as deleted "
                "on file.data_file_id = deleted.data_file_id and deleted.end_snapshot is null "
                "join ducklake_table as known on file.table_id = known.table_id "
                "join ducklake_schema using (schema_id) "
                "where schema_name = ? and table_name = ? and known.end_snapshot is null and file.end_snapshot is null",
                (schema, name),
            ).fetchall()
            parts = [
                pq.read_metadata(folder / path).num_rows - (pq.read_metadata(folder / gone).num_rows if gone else 0)
                for path, gone in rows
            ]
            found[f"{schema}.{name}"] = sum(parts)
    return found


def _publish_hours(settings: Settings, hours: int) -> None:
    """Hours that bring few rows to some tables and days, and change rows of earlier ones."""
    for hour in range(hours):
        records = [event(f"{hour}-{n}") for n in range(20)]
        # A day, and so a file, with two rows.
        records += [event(f"late-{hour}-{n}", eventTime="2026-04-20T09:00:00Z") for n in range(2)]
        deliver(settings, lines([*records, "junk"]), hour=hour)
        run(settings, hour)
    deliver(settings, lines([event("one more")]), "b.ndjson")
    run(settings)


@pytest.mark.slow
def test_after_many_runs_and_upkeep_the_files_say_what_the_tables_say(settings: Settings) -> None:
    _publish_hours(settings, 5)
    _files_say_what_the_tables_say(settings)


def test_after_a_run_and_upkeep_the_files_say_what_the_tables_say(retention_home: Settings, tmp_path: Path) -> None:
    settings = copied(retention_home, tmp_path / "home")
    # Few rows, and rows of the hour before that are others now.
    deliver(settings, lines([event("one more"), event("earlier", eventTime=EARLIER)]), "b.ndjson")
    run(settings)
    _files_say_what_the_tables_say(settings)


def _files_say_what_the_tables_say(settings: Settings) -> None:
    assert counted_by_files(settings) == counted_by_duckdb(settings)
    before = dump(settings, set())
    maintain(settings)
    assert counted_by_files(settings) == counted_by_duckdb(settings)
    assert dump(settings, set()) == before
    maintain(keeping(settings, "30d"), Allowed(large_deletion=True))
    assert counted_by_files(settings) == counted_by_duckdb(settings)
    assert counted_by_files(settings)["main.fact_activity_event"] == 0


@pytest.mark.slow
def test_what_an_earlier_release_left_in_the_catalog_goes_into_files(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        earlier.delitem(warehouse_tables._OPTIONS, "data_inlining_row_limit")
        _publish_hours(settings, 5)
        # As its upkeep compacted: the deletion of all the two rows of a file stayed in the catalog.
        earlier.setattr(warehouse_tables, "set_options", lambda _: None)
        earlier.setattr("activity_audit.warehouse.lake_catalog.sources", lambda *_: [])
        maintain(settings)
    expected, before = counted_by_duckdb(settings), dump(settings, set())
    runs = query(settings, "select run_id from quality.pipeline_run order by started_at_utc")
    assert counted_by_files(settings) != expected
    everything = "select count(*), count(distinct event_id) from fact_activity_event"
    with lake.reader(settings) as midway:
        midway.execute("begin")
        counted = midway.execute(everything).fetchall()
        maintain(settings)
        assert midway.execute(everything).fetchall() == counted
    assert counted_by_files(settings) == counted_by_duckdb(settings) == expected
    assert dump(settings, set()) == before
    assert query(settings, everything, at=runs[0][0]) == [(22, 22)]
    assert verify(settings).findings == []
    age(settings, 40)
    maintain(settings)
    age(settings, 2)
    maintain(settings)
    assert dump(settings, set()) == before
    assert _inlined(settings) == 0
    assert counted_by_files(settings) == expected


@pytest.mark.slow
def test_no_file_keeps_the_bytes_of_the_last_rows_that_were_deleted_in_it(settings: Settings) -> None:
    """A file of ten rows or fewer once never ended: DuckLake kept the deletion of its rows in the catalog."""
    deliver(settings, lines([event(f"late-{n}", eventTime="2026-04-20T09:00:00Z") for n in range(2)]))
    deliver(settings, lines([event("stays", application="QM")]), feed="qm")
    run(settings)
    kept = keeping(settings, "search=30d")
    maintain(kept)
    for days in (40, 2):
        age(settings, days)
        maintain(kept)
    held = {path.name for path in _fact_files(settings) if "late-1" in pq.read_table(path)["event_id"].to_pylist()}
    assert held == set()
    assert query(settings, "select event_id from fact_activity_event") == [("stays",)]


def _fact_files(settings: Settings) -> list[Path]:
    return list((settings.home / "warehouse/data/main/fact_activity_event").rglob("*.parquet"))


def _inlined(settings: Settings) -> int:
    """How many rows and deletions the catalog itself has."""
    with sqlite3.connect(settings.home / "warehouse/catalog.sqlite") as catalog:
        tables = catalog.execute("select name from sqlite_master where name like 'ducklake_inlined_d%'").fetchall()
        names = [name for (name,) in tables if name != "ducklake_inlined_data_tables"]
        return sum(catalog.execute(f'select count(*) from "{name}"').fetchall()[0][0] for name in names)
