"""What ties a pack to the ledger: entries in full, the chain from them to the head, and the hashes of whole batches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from activity_audit.base.sql_text import literal, parquet_rows
from activity_audit.evidence.pack.scope import IN_SCOPE
from activity_audit.evidence.pack.tables import WrittenTable, write_table
from activity_audit.ledger import digests, ledger
from activity_audit.ledger.chain import VERSION
from activity_audit.warehouse.events.filters import Filters

if TYPE_CHECKING:
    import duckdb

LEDGER, CHAIN, RECORD_HASHES = "ledger", "chain", "record_hashes"
_TIME = "strftime({}, '%Y-%m-%dT%H:%M:%S.%fZ')"
_FIELDS = (
    literal(VERSION), "cast(sequence as varchar)", "kind", "run_id", "feed", _TIME.format("feed_hour_utc"),
    "cast(deliveries as varchar)", "cast(received as varchar)", "cast(accepted as varchar)",
    "cast(duplicate as varchar)", "cast(quarantined as varchar)", "events_sha256", "deliveries_sha256",
    "quarantined_sha256", _TIME.format("recorded_at_utc"),
)  # fmt: skip


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


def write_ledger(connection: duckdb.DuckDBPyConnection, folder: Path, filters: Filters, *, whole: bool) -> LedgerFiles:
    """Write the entries of the pack's feed hours, or with `whole` all entries, the chain and the hashes.

    The chain goes from the first of these entries to the head. The hashes are those of every event of the batches,
    whether it is in the pack or not.

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
    where, values = filters.where()
    path = folder / f"{RECORD_HASHES}.parquet"
    hashes = _write(
        connection,
        path,
        f"select feed, feed_hour_utc, run_id, {digests.record_sha256()} as record_sha256, "
        f"coalesce({where}, false) as is_in_pack "
        f"from audit.main.fact_activity_event {IN_SCOPE} order by feed_hour_utc, feed, run_id, record_sha256",
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
