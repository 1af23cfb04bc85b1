"""Hashes every published event again for `audit verify`, batch by batch; dbt's macro `record_sha256` has the rule.

DuckDB makes the text of each event, and DataFusion hashes it with the processor's instructions for SHA-256: in a fifth
of the time that DuckDB's own function takes, which is the most expensive part of a verification
(docs/adr/0022-datafusion-hashes-what-verify-reads.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import duckdb
import numpy as np
import pyarrow as pa

from activity_audit.base.vocabulary import FACT
from activity_audit.dbt_runner import macros
from activity_audit.ledger.chain import BatchKey
from activity_audit.ledger.slices import condition, slices

HASH_BYTES = 32
# NumPy's type of a hash: it sorts as its hexadecimal text does.
HASH = f"S{HASH_BYTES}"
_KEY = "feed, feed_hour_utc, run_id"
# Their texts, some 200 bytes each and seldom a megabyte, are in memory twice.
_ROWS_AT_A_TIME = 16_384


@cache
def _record_text() -> str:
    return macros.expression("record_hash.sql", "record_text", of_files=True)


def by_batch(connection: duckdb.DuckDBPyConnection, where: str) -> Iterator[tuple[BatchKey, np.ndarray]]:
    """Each batch that the fact has events of under a condition on `feed_hour_utc` or `run_id`, and their hashes.

    The hashes are an array of `HASH`, in no order. Events without a feed hour are in no batch.

    Raises:
        duckdb.Error: if the table cannot be read.
    """
    # A batch is told by a number, because its three texts would be copied for every event.
    counted = connection.execute(
        f"select hash({_KEY}), {_KEY}, count(*) from {FACT} where feed_hour_utc is not null and {where} "
        f"group by {_KEY} order by feed_hour_utc"
    ).fetchall()
    batches: dict[int, list[BatchKey]] = defaultdict(list)
    events: dict[BatchKey, int] = {}
    for number, feed, hour, run_id, count in counted:
        batches[number].append((feed, hour, run_id))
        events[feed, hour, run_id] = count
    for part in slices([(hour, count) for _, _, hour, _, count in counted]):
        numbers, hashes = _of_slice(connection, f"{where} and {condition(part)}")
        order = np.argsort(numbers, kind="stable")
        ends = np.flatnonzero(np.diff(numbers[order])) + 1
        for positions in np.split(order, ends) if len(order) else ():
            keys = batches[int(numbers[positions[0]])]
            if len(keys) == 1 and events[keys[0]] == len(positions):
                del events[keys[0]]
                yield keys[0], hashes.take(positions)
    # Two batches of one number, which can be made on purpose, or events that were not found again where the table said
    # that they are: nothing of that may pass for what was published.
    for key, count in events.items():
        yield key, np.zeros(count, dtype=HASH)


def _of_slice(connection: duckdb.DuckDBPyConnection, where: str) -> tuple[np.ndarray, np.ndarray]:
    """The batch's number and the hash of each event."""
    # Else all texts that are handed over at a time may have 2 GiB at most.
    connection.execute("set arrow_large_buffer_size = true")
    texts = connection.execute(f"select hash({_KEY}) as batch, {_record_text()} as text from {FACT} where {where}")
    try:
        parts = [_hashed(rows) for rows in texts.to_arrow_reader(_ROWS_AT_A_TIME)]
    except (OSError, pa.ArrowException) as error:
        # So Arrow tells what DuckDB could not read, once the first rows have come.
        raise duckdb.IOException(str(error)) from error
    numbers, hashes = zip(*parts, strict=True) if parts else ([np.empty(0, np.uint64)], [np.empty(0, HASH)])
    return np.concatenate(numbers), np.concatenate(hashes)


def _hashed(events: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """The batch's number and the hash of each event."""
    from datafusion import SessionContext

    context = SessionContext()
    context.register_record_batches("event", [[events]])
    found = context.sql("select batch, sha256(text) as hash from event").to_arrow_table()
    hashes = found["hash"].cast(pa.binary(HASH_BYTES)).combine_chunks()
    return found["batch"].to_numpy(), np.frombuffer(hashes.buffers()[1], dtype=HASH)[: len(found)]
