"""The ledger's table: its entries, new ones for what a run has staged, and what of it retention has deleted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from datetime import datetime

import duckdb

from activity_audit.base.hours import naive
from activity_audit.ledger import digests
from activity_audit.ledger.chain import BATCH, DELETION, OF_BATCHES, BatchDigest, BatchKey, Entry, append
from activity_audit.ledger.slices import condition, slices
from activity_audit.warehouse import arrow_rows, lake

TABLE = "quality.integrity_ledger"
_BLOCK = 10_000
_COLUMNS = (
    "sequence, kind, feed, feed_hour_utc, run_id, deliveries, received, accepted, duplicate, quarantined, "
    "events_sha256, deliveries_sha256, quarantined_sha256, recorded_at_utc, previous_sha256, entry_sha256"
)


def is_there(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the attached warehouse has a ledger; one that an earlier release published last has none."""
    return lake.has_table(connection, *TABLE.split("."))


def newest(connection: duckdb.DuckDBPyConnection) -> Entry | None:
    """The newest entry; None while the ledger is empty."""
    row = connection.execute(f"select {_COLUMNS} from audit.{TABLE} order by sequence desc limit 1").fetchone()
    return _entry(row) if row else None


def entries(connection: duckdb.DuckDBPyConnection) -> Iterator[Entry]:
    """Every entry, in the order of their sequence. Nothing else may be asked of the connection meanwhile."""
    cursor = connection.execute(f"select {_COLUMNS} from audit.{TABLE} order by sequence")
    while rows := cursor.fetchmany(_BLOCK):
        yield from map(_entry, rows)


def batches_of(connection: duckdb.DuckDBPyConnection, where: str) -> list[Entry]:
    """The entries of what runs and replays published, and of what was adopted, under a condition on `feed_hour_utc`."""
    rows = connection.execute(
        f"select {_COLUMNS} from audit.{TABLE} where kind in {OF_BATCHES} and {where} "
        "order by feed_hour_utc, feed, sequence"
    ).fetchall()
    return list(map(_entry, rows))


def of_kind(connection: duckdb.DuckDBPyConnection, kind: str, where: str = "true") -> list[Entry]:
    """The entries of one kind that a condition on the ledger's columns holds, in order."""
    query = f"select {_COLUMNS} from audit.{TABLE} where kind = ? and {where} order by sequence"
    return [_entry(row) for row in connection.execute(query, [kind]).fetchall()]


def deleted_batches(connection: duckdb.DuckDBPyConnection, where: str = "true") -> set[BatchKey]:
    """The batches that retention deleted, under a condition on the ledger's columns."""
    return {entry.batch.key for entry in of_kind(connection, DELETION, where)}


def stage(connection: duckdb.DuckDBPyConnection, recorded_at: datetime) -> None:
    """Add the entries of what a run has staged to what is to be published.

    `recorded_at` is a plain UTC timestamp. Whoever calls this holds the run lock until they are published, so that no
    other run adds to the chain.
    """
    head = newest(connection)
    rows = connection.execute(
        "select feed_hour_utc, cast(sum(accepted + quarantined) as bigint) from work.quality.feed_delivery "
        "group by all order by all"
    ).fetchall()
    found = [batch for part in slices(rows) for batch in digests.batches(connection, "work", condition(part))]
    insert(connection, f"work.{TABLE}", append(head, BATCH, found, recorded_at))


def insert(connection: duckdb.DuckDBPyConnection, table: str, new: Sequence[Entry]) -> None:
    """Add entries to a table that has the ledger's columns."""
    rows = [(e.sequence, e.kind, *astuple(e.batch), e.recorded_at_utc, e.previous_sha256, e.entry_sha256) for e in new]
    arrow_rows.insert(connection, table, rows, _COLUMNS.split(", "))


def _entry(row: tuple) -> Entry:
    sequence, kind, *batch, recorded_at, previous, own = row
    return Entry(sequence, kind, BatchDigest(*batch), recorded_at, previous, own)


def deleted_deliveries(
    connection: duckdb.DuckDBPyConnection, window: tuple[datetime, datetime] | None = None
) -> set[str]:
    """The ids of the deliveries whose batch was deleted, in the half-open window of feed hours or in all."""
    return {delivery for _, _, delivery in deleted_files(connection, window)}


def deleted_files(
    connection: duckdb.DuckDBPyConnection, window: tuple[datetime, datetime] | None = None
) -> list[tuple[str, datetime, str]]:
    """Feed, feed hour (a plain UTC timestamp) and id of those deliveries, in this order."""
    where, arguments = "", []
    if window:
        where, arguments = "where feed_hour_utc >= ? and feed_hour_utc < ?", [naive(time) for time in window]
    return connection.execute(
        f"""
        select feed, feed_hour_utc, delivery_id
        from audit.quality.feed_delivery
        semi join (
            select feed, feed_hour_utc, run_id from audit.{TABLE} where kind = '{DELETION}'
        ) as deleted using (feed, feed_hour_utc, run_id)
        {where}
        order by all
        """,
        arguments,
    ).fetchall()
