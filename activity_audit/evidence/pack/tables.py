"""The tables of a pack, written from the warehouse without holding them in memory, and what ties them to the ledger.

The ledger's part is its entries in full, the chain from them to the head, and the hashes of whole batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from activity_audit.base.sql_text import literal, parquet_rows
from activity_audit.base.vocabulary import FACT
from activity_audit.dbt_runner import project
from activity_audit.evidence.pack.scope import FEED_HOURS, IN_SCOPE, RUNS
from activity_audit.ledger import digests, ledger
from activity_audit.ledger.chain import HOLD, VERSION
from activity_audit.warehouse import lake
from activity_audit.warehouse.contract import published_models
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.masked import WORD
from activity_audit.warehouse.events.masked import masked as masked_rows

EVENTS = "events"
_OF_FEED_HOURS = {
    "reconciliation": ("feed_reconciliation", "feed_hour_utc, feed"),
    "deliveries": ("feed_delivery", "feed_hour_utc, feed, name, landed_at_utc, delivery_id"),
    "quarantine": ("quarantined_event", "feed_hour_utc, feed, source_uri, source_record, delivery_id"),
    "replayed": ("replayed_record", "feed_hour_utc, feed, source_uri, source_record, delivery_id, revision"),
    "deletions": ("deletion", "feed_hour_utc, feed, run_id"),
}
_OF_RUNS = {
    "pipeline_runs": ("pipeline_run", "started_at_utc, run_id"),
    "validation_results": ("validation_result", "validated_at_utc, run_id, suite, expectation, column_name, title"),
}
LEDGER, CHAIN, RECORD_HASHES = "ledger", "chain", "record_hashes"
_TIME = "strftime({}, '%Y-%m-%dT%H:%M:%S.%fZ')"
_FIELDS = (
    literal(VERSION), "cast(sequence as varchar)", "kind", "run_id", "feed", _TIME.format("feed_hour_utc"),
    "cast(deliveries as varchar)", "cast(received as varchar)", "cast(accepted as varchar)",
    "cast(duplicate as varchar)", "cast(quarantined as varchar)", "events_sha256", "deliveries_sha256",
    "quarantined_sha256", _TIME.format("recorded_at_utc"),
)  # fmt: skip


@dataclass(frozen=True)
class WrittenTable:
    """A table of a pack: its name, its columns in order, its rows, and the most bytes that a line of its CSV has."""

    name: str
    columns: tuple[str, ...]
    rows: int
    longest_line: int


def write_tables(
    connection: duckdb.DuckDBPyConnection, folder: Path, filters: Filters, *, masked: bool = False
) -> list[WrittenTable]:
    """Write every table but the ledger's; the connection is a pinned reader, with the scope of the pack chosen.

    `masked` events and quarantined records have no hash of their fields.

    Raises:
        duckdb.Error: if a table of the warehouse cannot be read, or a file not be written.
    """
    where, values = filters.where()
    hashed = f"select *, {digests.record_sha256()} as record_sha256 from {FACT}"
    events = f"{f'from {masked_rows(FACT)}' if masked else hashed} where {where} order by event_time_utc, event_id"
    written = [write_table(connection, folder, EVENTS, events, values)]
    own = {"feed_hours": f"from {FEED_HOURS} order by feed_hour_utc, feed"}
    own |= {
        name: f"from {_quality(connection, table, masked=masked)} {IN_SCOPE} order by {order}"
        for name, (table, order) in _OF_FEED_HOURS.items()
    }
    own |= {
        name: f"from audit.quality.{table} semi join {RUNS} using (run_id) order by {order}"
        for name, (table, order) in _OF_RUNS.items()
    }
    keys = f"select entity_activity_key from {parquet_rows(folder / 'events.parquet')}"
    own["catalogue_drift"] = (
        f"from audit.quality.catalogue_drift where entity_activity_key in ({keys}) "
        "order by application, entity, activity"
    )
    return written + [write_table(connection, folder, name, query) for name, query in own.items()]


def _quality(connection: duckdb.DuckDBPyConnection, table: str, *, masked: bool) -> str:
    """A quality table as a relation; one without rows where the snapshot is older than the release that brought it."""
    if masked and table == "quarantined_event":
        return (
            f"(select * exclude (record_bytes, record_sha256) replace ('{WORD}' as record) from audit.quality.{table})"
        )
    if lake.has_table(connection, "quality", table):
        return f"audit.quality.{table}"
    model = next(found for found in published_models(project.manifest()) if found.name == table)
    columns = ", ".join(f"null::{column.data_type} as {column.name}" for column in model.columns)
    return f"(select {columns} where false)"


def write_table(
    connection: duckdb.DuckDBPyConnection, folder: Path, name: str, query: str, values: list[Any] | None = None
) -> WrittenTable:
    """Write the rows of a query as `<name>.parquet` and `<name>.csv`, in the same order.

    In the CSV every value is in quotes, so that a null, which is not, is told from an empty text.
    """
    parquet, csv = (literal(str(folder / f"{name}.{suffix}")) for suffix in ("parquet", "csv"))
    rows_written = parquet_rows(folder / f"{name}.parquet")
    connection.execute(f"copy ({query}) to {parquet} (format parquet, compression zstd)", values)
    connection.execute(f"copy (from {rows_written}) to {csv} (format csv, header, force_quote *)")
    columns = tuple(row[0] for row in connection.execute(f"describe from {rows_written}").fetchall())
    # A quote is written twice.
    length = " + ".join(f'coalesce(2 * strlen(cast("{column}" as varchar)), 0) + 3' for column in columns)
    rows, longest = connection.execute(f"select count(*), coalesce(max({length}), 0) from {rows_written}").fetchall()[0]
    return WrittenTable(name, columns, rows, longest)


@dataclass(frozen=True)
class LedgerFiles:
    """What was written: the table of entries, the rows of the other two, and in which hours how many hashes are."""

    entries: WrittenTable
    chain_rows: int
    record_hashes: int
    hours: list[tuple[datetime, int]]


def leaf_sha256() -> str:
    """The SQL expression of the leaf of a row of the ledger, as docs/integrity.md has it."""
    text = " || ',' || ".join(f"strlen({field}) || ':' || {field}" for field in _FIELDS)
    return f"sha256('\\x00'::blob || encode({text}))"


def entry_sha256(previous: str, leaf: str) -> str:
    """The SQL expression of the hash of an entry, from those of the hash before it and of its leaf."""
    return f"sha256('\\x01'::blob || unhex({previous}) || unhex({leaf}))"


def write_ledger(
    connection: duckdb.DuckDBPyConnection, folder: Path, filters: Filters, *, whole: bool, masked: bool = False
) -> LedgerFiles:
    """Write the entries of the pack's feed hours, or with `whole` all entries, the chain and the hashes.

    The chain goes from the first of these entries to the head. The hashes are those of every event of the batches,
    whether it is in the pack or not; a `masked` pack has none.

    Raises:
        duckdb.Error: if a table of the warehouse cannot be read, or a file not be written.
    """
    own = f"from audit.{ledger.TABLE} {'' if whole else IN_SCOPE} order by sequence"
    entries = write_table(connection, folder, LEDGER, own)
    first = f"(select min(sequence) from {parquet_rows(folder / f'{LEDGER}.parquet')})"
    head = f"(select max(sequence) from audit.{ledger.TABLE})"
    chain = _write(
        connection,
        folder / f"{CHAIN}.parquet",
        f"select sequence, {leaf_sha256()} as leaf_sha256, previous_sha256, entry_sha256 from audit.{ledger.TABLE} "
        f"where sequence >= coalesce({first}, {head}) order by sequence",
        [],
    )
    if masked:
        hours = connection.execute(
            f"select feed_hour_utc, count(*) from {parquet_rows(folder / f'{LEDGER}.parquet')} "
            f"where kind <> '{HOLD}' group by all order by all"
        ).fetchall()
        return LedgerFiles(entries, chain, 0, hours)
    where, values = filters.where()
    path = folder / f"{RECORD_HASHES}.parquet"
    hashes = _write(
        connection,
        path,
        f"select feed, feed_hour_utc, run_id, {digests.record_sha256()} as record_sha256, "
        f"coalesce({where}, false) as is_in_pack "
        f"from {FACT} {IN_SCOPE} order by feed_hour_utc, feed, run_id, record_sha256",
        values,
    )
    hours = connection.execute(
        f"select feed_hour_utc, count(*) from {parquet_rows(path)} group by all order by all"
    ).fetchall()
    return LedgerFiles(entries, chain, hashes, hours)


def _write(connection: duckdb.DuckDBPyConnection, path: Path, query: str, values: list) -> int:
    written = connection.execute(
        f"copy ({query}) to {literal(str(path))} (format parquet, compression zstd)", values
    ).fetchall()
    return written[0][0]
