"""The digests of a batch, over the hashes of its rows: the same for what a run stages and for what is published.

A row's hash is the SHA-256 of its fields, each written as its length in bytes, a colon and its text, a null as `-`,
joined by commas. The digest of rows is the SHA-256 of their hashes, sorted, each followed by a line feed. These rules
are public and may not change: docs/integrity.md.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import duckdb
import numpy as np

from activity_audit.base.vocabulary import STAGED_FACT
from activity_audit.dbt_runner import macros
from activity_audit.ledger import event_hashes
from activity_audit.ledger.chain import EMPTY_SHA256, BatchDigest, BatchKey, by_hour
from activity_audit.ledger.event_hashes import HASH, HASH_BYTES

# The column of the staged fact that has `record_sha256()`, computed when it was judged.
STAGED_SHA256 = "event_sha256"
_KEY = "feed, feed_hour_utc, run_id"
# DuckDB cannot spill the joined hashes of more rows, which it has in memory several times over.
_MOST_IN_MEMORY = 4_000_000
_ROWS_AT_A_TIME = 100_000
DELIVERY_FIELDS = (
    "delivery_id", "name", "source_uri", "sha256", "bytes", "landed_at_utc", "raw_sha256", "received", "accepted",
    "duplicate", "quarantined", "offset_normalised", "late", "foreign_application", "undocumented",
)  # fmt: skip
QUARANTINE_FIELDS = (
    "delivery_id", "source_uri", "source_record", "reasons", "event_id", "record", "record_bytes", "record_length",
    "record_sha256",
)  # fmt: skip
REPLAYED_FIELDS = (
    "delivery_id", "source_uri", "source_record", "event_id", "revision", "reasons_before", "disposition",
    "reasons_after", "offset_normalised", "late", "replayed_at_utc",
)  # fmt: skip
_WRITTEN = {
    **{name: f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ')" for name in ("landed_at_utc", "replayed_at_utc")},
    **{name: f"array_to_string({name}, ' ')" for name in ("reasons", "reasons_before", "reasons_after")},
    "record_bytes": "lower(hex(record_bytes))",
}


@cache
def record_sha256() -> str:
    """The SQL expression of an event's `record_sha256`, from the dbt macro of that name, its only home."""
    return macros.expression("record_hash.sql", "record_sha256")


def delivery_sha256() -> str:
    """The SQL expression of the hash of a row of `quality.feed_delivery`."""
    return _row_sha256(DELIVERY_FIELDS)


def quarantined_sha256() -> str:
    """The SQL expression of the hash of a row of `quality.quarantined_event`; what a replay may change is not in it."""
    return _row_sha256(QUARANTINE_FIELDS)


def replayed_sha256() -> str:
    """The SQL expression of the hash of a row of `quality.replayed_record`."""
    return _row_sha256(REPLAYED_FIELDS)


def hashes(row_sha256: str) -> str:
    """The SQL aggregate of what `digest` is taken of: these hashes, in any order, without anything between them."""
    return f"string_agg({row_sha256}, '')"


def digest(joined: str) -> str:
    """The digest of the rows whose hashes, of 64 characters each, are these.

    DuckDB takes four times as long to sort them as texts in a list and to hash that.
    """
    return digest_of(np.frombuffer(bytes.fromhex(joined), dtype=HASH))


def digest_of(row_hashes: np.ndarray) -> str:
    """The same of hashes as they are: an array of `HASH`, in any order."""
    lines = binascii.hexlify(np.sort(row_hashes).tobytes(), "\n", HASH_BYTES)
    return hashlib.sha256(lines + b"\n" if lines else b"").hexdigest()


def batches(connection: duckdb.DuckDBPyConnection, database: str, where: str) -> list[BatchDigest]:
    """The batches of which there are rows in the tables of `database` (`work` or `audit`), by hour, feed and run.

    `where` is a condition on `feed_hour_utc` or `run_id`.
    """
    events = _staged_events(connection, where) if database == "work" else _published_events(connection, where)
    quarantine = counted(connection, f"{database}.quality.quarantined_event", quarantined_sha256(), where)
    deliveries = counted(
        connection, f"{database}.quality.feed_delivery", delivery_sha256(), where, "received", "duplicate"
    )
    found = []
    for key in sorted(events.keys() | quarantine.keys() | deliveries.keys(), key=by_hour):
        accepted, events_sha256 = events.get(key, (0, EMPTY_SHA256))
        quarantined, quarantine_sha256 = quarantine.get(key, (0, EMPTY_SHA256))
        delivered, received, duplicate, deliveries_sha256 = deliveries.get(key, (0, 0, 0, EMPTY_SHA256))
        counts = (delivered, received, accepted, duplicate, quarantined)
        found.append(BatchDigest(*key, *counts, events_sha256, deliveries_sha256, quarantine_sha256))
    return found


def _staged_events(connection: duckdb.DuckDBPyConnection, where: str) -> dict[BatchKey, tuple[Any, ...]]:
    return counted(connection, STAGED_FACT, STAGED_SHA256, where)


def _published_events(connection: duckdb.DuckDBPyConnection, where: str) -> dict[BatchKey, tuple[Any, ...]]:
    return {key: (len(hashes), digest_of(hashes)) for key, hashes in event_hashes.by_batch(connection, where)}


def counted(
    connection: duckdb.DuckDBPyConnection, table: str, row_sha256: str, where: str, *sums: str
) -> dict[BatchKey, tuple[Any, ...]]:
    """For each batch the number of its rows, the sums of these SQL expressions, and the digest of its rows."""
    columns = "".join(f"cast(coalesce(sum({value}), 0) as bigint), " for value in sums)
    ((rows,),) = connection.execute(f"select count(*) from {table} where {where}").fetchall()
    if rows > _MOST_IN_MEMORY:
        found = connection.execute(f"select {_KEY}, {columns}count(*) from {table} where {where} group by {_KEY}")
        return {
            row[:3]: (row[-1], *row[3:-1], _sorted_on_disk(connection, table, row_sha256, where, row[:3]))
            for row in found.fetchall()
        }
    cursor = connection.execute(
        f"select {_KEY}, count(*), {columns}{hashes(row_sha256)} from {table} where {where} group by {_KEY}"
    )
    return {row[:3]: (*row[3:-1], digest(row[-1])) for row in _each(cursor)}


def _sorted_on_disk(
    connection: duckdb.DuckDBPyConnection, table: str, row_sha256: str, where: str, key: BatchKey
) -> str:
    """The digest of one batch of any number of rows, whose hashes DuckDB sorts, on disk where they are too many."""
    lines = connection.execute(
        f"select {row_sha256} as row_hash from {table} where {where} "
        "and feed is not distinct from ? and feed_hour_utc is not distinct from ? and run_id is not distinct from ? "
        "order by row_hash",
        list(key),
    )
    whole = hashlib.sha256()
    while part := lines.fetchmany(_ROWS_AT_A_TIME):
        whole.update("".join(f"{row_hash}\n" for (row_hash,) in part).encode())
    return whole.hexdigest()


def _each(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    """The rows of a result one by one, because each may be large. Nothing else may be asked meanwhile."""
    while row := cursor.fetchone():
        yield row


def _row_sha256(fields: tuple[str, ...]) -> str:
    written = [_WRITTEN.get(field, f"cast({field} as varchar)") for field in fields]
    # As in the macro: one `concat`, which leaves nulls out.
    parts = ", ',', ".join(f"strlen({text}), if({text} is null, '-', ':'), {text}" for text in written)
    return f"sha256(concat({parts}))"
