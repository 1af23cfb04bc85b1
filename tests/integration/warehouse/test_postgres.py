"""A PostgreSQL catalog, with a real server on a socket of its own."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import duckdb
import pytest

from activity_audit.base import catalogue
from activity_audit.evidence.verify.verify import verify
from activity_audit.ingest.planning import plan
from activity_audit.ledger import ledger
from activity_audit.settings.core import Settings
from activity_audit.upkeep.maintenance import maintain
from activity_audit.warehouse import extensions, lake, lake_writer
from activity_audit.warehouse import tables as warehouse_tables
from activity_audit.warehouse.lake_catalog import remove_expired, sources
from tests.integration.postgres_server import INITDB, PostgresServer
from tests.integration.support import audit, deliver, dump, event, lines, one, query, run
from tests.integration.tampering import change, warehouse

pytestmark = pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")


@pytest.fixture
def server(postgres: PostgresServer) -> str:
    """The connection string of an empty catalog."""
    return postgres.new_database()


def test_the_pipeline_on_postgresql(settings: Settings, server: str) -> None:
    shared = settings.model_copy(update={"catalog": server})
    deliver(shared, lines([event("a"), event("a"), "junk"]))
    assert len(plan(shared, catalogue.slugs()).ranges) == 1
    run(shared)
    before = dump(shared)
    run(shared)
    assert dump(shared) == before
    deliver(shared, lines([event("b")]), hour=1)
    with lake.reader(shared) as reading:
        reading.execute("begin")
        count = "select count(*) from fact_activity_event"
        assert reading.execute(count).fetchall() == [(1,)]
        assert run(shared, 1).totals["accepted"] == 1
        assert reading.execute(count).fetchall() == [(1,)]
    maintain(shared)
    assert audit(shared, "sql", "select count(*) as n from fact_activity_event", "--output", "csv",
                 AUDIT_CATALOG=server).stdout == "n\n2\n"  # fmt: skip
    assert one(shared, "select count(*) from quality.quarantined_event") == 1
    assert verify(shared).findings == []
    with lake.reader(shared) as reading:
        newest = ledger.newest(reading)
    assert newest is not None
    assert newest.sequence == 2
    change(shared, "update fact_activity_event set comments = 'x' where event_id = 'b'")
    assert [(found.layer, found.problem) for found in verify(shared).findings] == [("fact", "changed")]


@pytest.mark.slow
def test_rows_that_no_snapshot_has_are_removed_from_the_catalog(
    settings: Settings, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier release kept them there; this one brings into files what is current."""
    shared = settings.model_copy(update={"catalog": server})
    with monkeypatch.context() as earlier:
        earlier.delitem(warehouse_tables._OPTIONS, "data_inlining_row_limit")
        # Three copies of a row of each feed hour, too few for a file: each run replaces its row of the reconciliation.
        for number in range(3):
            deliver(shared, lines([event(f"{number}")]), name=f"{number}.ndjson")
            run(shared, feeds=["search"])
    of_hour = "select received from quality.feed_reconciliation where feed = 'search'"
    (kept,) = query(shared, "select snapshot_id from audit.snapshots() order by snapshot_id desc limit 1 offset 1")
    before, earlier = dump(shared), query(shared, of_hour, _run_of(shared, kept[0]))
    with warehouse(shared) as connection:
        inlined = _inlined(connection, "feed_reconciliation")
        remove_expired(connection)
        assert _inlined(connection, "feed_reconciliation") == inlined
        expired = connection.execute("select list(snapshot_id) from audit.snapshots() where snapshot_id < ?", kept)
        connection.execute("call ducklake_expire_snapshots('audit', versions => ?)", list(expired.fetchall()[0]))
        assert _inlined(connection, "feed_reconciliation") == inlined
        remove_expired(connection)
        left = _inlined(connection, "feed_reconciliation")
    assert (inlined, left) == (3, 2)
    assert dump(shared) == before
    assert query(shared, of_hour, _run_of(shared, kept[0])) == earlier == [(2,)]
    assert verify(shared).findings == []

    # Of a file, the catalog keeps the deletion of few rows.
    change(shared, "delete from quality.validation_result where title like 'Every record that landed%'")
    before, checks = dump(shared), query(shared, "from quality.validation_result order by all")
    maintain(shared)
    assert dump(shared) == before
    assert query(shared, "from quality.validation_result order by all") == checks
    with warehouse(shared) as connection:
        tables = connection.execute("select schema_name, table_name from duckdb_tables() where database_name = 'audit'")
        assert [held for table in tables.fetchall() if (held := sources(connection, *table))] == []


def _run_of(settings: Settings, snapshot_id: int) -> str:
    return one(settings, f"select commit_message from audit.snapshots() where snapshot_id = {snapshot_id}")


def _inlined(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """How many rows of a table, those of earlier snapshots too, the catalog itself has."""
    catalog = "__ducklake_metadata_audit"
    names = connection.execute(
        f"select inlined.table_name from {catalog}.ducklake_inlined_data_tables as inlined "
        f"join {catalog}.ducklake_table as known using (table_id) "
        "where known.table_name = ? and known.end_snapshot is null",
        [table],
    ).fetchall()
    return sum(connection.execute(f'select count(*) from {catalog}."{name}"').fetchall()[0][0] for (name,) in names)


@pytest.mark.slow
def test_the_documented_roles_are_all_that_it_needs(settings: Settings, server: str) -> None:
    document = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")
    section = document.split("**PostgreSQL for the catalog**")[1].split("**Object storage for the data**")[0]
    # The fixture's superuser has the name of the role.
    make, grants = (
        re.sub(r"\baudit\b", "lake", code)
        for code in re.findall(r"^```sql\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    )
    of_database = re.sub(r"dbname=\w+", "dbname=lake", server)
    _psql(server, make)
    shared = settings.model_copy(update={"catalog": of_database.replace("user=audit", "user=lake")})
    deliver(shared, lines([event("a"), event("b")]))
    run(shared, feeds=["search"])
    _psql(of_database, grants)
    reader = settings.model_copy(update={"catalog": of_database.replace("user=audit", "user=reader")})
    assert one(reader, "select count(*) from fact_activity_event") == 2
    deliver(shared, lines([event("c")]), name="c.ndjson")
    run(shared, feeds=["search"])
    assert one(reader, "select count(*) from fact_activity_event") == 3
    with extensions.connect() as connection:
        lake_writer.attach(connection, reader)
        with pytest.raises(duckdb.Error, match="permission denied"):
            connection.execute("delete from audit.fact_activity_event")


def _psql(catalog: str, statements: str) -> None:
    """Run SQL by PostgreSQL's own client."""
    assert INITDB is not None
    client = Path(INITDB).resolve().parent / "psql"
    command = [client, "-X", "-v", "ON_ERROR_STOP=1", "-d", catalog.removeprefix("postgres:")]
    subprocess.run(command, input=statements, text=True, check=True, capture_output=True)
