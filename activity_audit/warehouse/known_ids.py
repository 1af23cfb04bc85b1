"""`quality.known_event_id`: short keys of the published event ids, by which a run finds earlier events.

A run adds the keys of its own events, and retention takes away those of what it deletes. Each of them also keeps the
digest of all keys, in `quality.known_event_id_digest`, so that the next one knows whether the keys are those that were
written. What is here makes them again from the fact where they are not.

A run looks keys up in `key_index`; what has no such index scans the table.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

import duckdb

from activity_audit.base.vocabulary import FACT
from activity_audit.dbt_runner import macros
from activity_audit.warehouse.transactions import snapshot_now, transaction

if TYPE_CHECKING:
    from activity_audit.warehouse.key_index import KeyIndex

# The SQL function of a list of keys, which gives the list of the table's rows that have one of them. Of several lists,
# it does not say which a row is of.
FUNCTION = "known_event_rows"
TABLE = "audit.quality.known_event_id"
_DIGEST = "audit.quality.known_event_id_digest"
_STAGED = "work.quality.known_event_id"
# A prime, so that the digest of two sets of keys is the sum of theirs, and fits a bigint.
_MODULUS = 2**61 - 1
# The upper bits of the hour's number are spread over those of the key; the mask takes the sign away.
_OF_A_ROW = f"(xor(event_id_key, (epoch_us(event_hour_utc) // 3600000000) * 2654435761) & {2**63 - 1})"
# The same rows, in any order, have the same.
_SUMS = "event_hour_utc, count(*) as n, sum(event_id_key) as keys, bit_xor(hash(event_id_key)) as hashes"
_WRONG = (
    "the keys of the published event ids differed from the fact or from their digest; they were made again. "
    "`audit verify` says whether an event was published twice in the meantime"
)


@cache
def event_id_key(event_id: str = "event_id") -> str:
    """The SQL expression of an event id's key, from the dbt macro of that name, its only home."""
    return macros.expression("event_id_key.sql", "event_id_key", event_id)


def rows_of_fact(where: str) -> str:
    """The query of the rows that the table has for the events of the fact that a condition holds."""
    return f"select {event_id_key()} as event_id_key, event_hour_utc from {FACT} where {where}"


def digest_of(rows: str) -> str:
    """The query of the digest of some keys: how many they are, and a sum over their rows."""
    return f"select count(*) as keys, cast(coalesce(sum({_OF_A_ROW}), 0) % {_MODULUS} as bigint) as row_sum from {rows}"


def differing_hours(connection: duckdb.DuckDBPyConnection, where: str = "true") -> list[tuple]:
    """The event hours whose keys are not those of the fact's events, with the number of events and of keys.

    `where` is a condition on `event_hour_utc`.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    return connection.execute(f"""
        with
        event as (select {_SUMS} from ({rows_of_fact(where)}) group by all),
        known as (select {_SUMS} from {TABLE} where {where} group by all)
        select event_hour_utc, coalesce(event.n, 0), coalesce(known.n, 0)
        from event full join known using (event_hour_utc)
        where (event.n, event.keys, event.hashes) is distinct from (known.n, known.keys, known.hashes)
        order by all
    """).fetchall()


def look_up_by_scan(connection: duckdb.DuckDBPyConnection) -> None:
    """Have FUNCTION read all of the table, on every connection of this DuckDB instance."""
    connection.execute(
        f"create macro if not exists {FUNCTION}(keys) as ("
        "select list(struct_pack(event_id_key := event_id_key, event_hour_utc := event_hour_utc)) "
        f"from {TABLE} where event_id_key in (select unnest(keys)))"
    )


def complete(connection: duckdb.DuckDBPyConnection, index: KeyIndex | None = None) -> list[str]:
    """Check that the keys are those of the fact, make all of them again if they are not, and bring the index to them.

    Keys that have the digest that was written with them are right. What is returned warns of keys that were wrong. The
    connection has `audit` attached, a lake where there is an index, and the caller holds the run lock.
    """
    since = snapshot_now(connection)
    counts = f"select (select count(*) from {FACT}), (select count(*) from {TABLE}), (select count(*) from {_DIGEST})"
    ((events, keys, digests),) = connection.execute(counts).fetchall()
    if events == keys:
        if index and since is not None and index.follow(connection, since, _recorded(connection)[0]):
            return []
        if are_as_written(connection):
            _make(index, connection)
            return []
    # Without any key, or any digest, the warehouse is one of an earlier release, or somebody asked for this.
    are_wrong = bool(keys and (digests or differing_hours(connection)))
    months = connection.execute(
        f"select distinct date_trunc('month', event_hour_utc) from {FACT} order by all"
    ).fetchall()
    with transaction(connection, "keys of the published event ids", {}, since=since):
        connection.execute(f"delete from {TABLE}")
        for (month,) in months:
            # A month at a time, which is a partition: what has to be sorted is bounded.
            start = f"timestamp '{month}'"
            of_month = f"event_hour_utc >= {start} and event_hour_utc < {start} + interval 1 month"
            connection.execute(f"insert into {TABLE} by name {rows_of_fact(of_month)}")
        record(connection)
    _make(index, connection)
    return [_WRONG] if are_wrong else []


def ensure(connection: duckdb.DuckDBPyConnection, index: KeyIndex) -> None:
    """Have the index hold the keys of the attached lake as it is now; see `complete`."""
    snapshot = snapshot_now(connection)
    if snapshot is not None and not index.covers(connection, snapshot):
        for warning in complete(connection, index):
            logging.getLogger(__name__).warning(warning)


def _make(index: KeyIndex | None, connection: duckdb.DuckDBPyConnection) -> None:
    snapshot = snapshot_now(connection)
    if index and snapshot is not None:
        index.make(connection, snapshot)


def are_as_written(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the keys have the digest that was written with them.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    return _recorded(connection) == connection.execute(digest_of(TABLE)).fetchall()


def record(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the digest to the keys as they are now, in the transaction that changes them."""
    ((keys_before, sum_before),) = _recorded(connection)
    ((keys, row_sum),) = connection.execute(digest_of(TABLE)).fetchall()
    connection.execute(_addition(keys - keys_before, row_sum - sum_before))


def additions(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The statements that add the staged keys to the digest, for the transaction that publishes them."""
    ((keys, row_sum),) = connection.execute(digest_of(_STAGED)).fetchall()
    return [_addition(keys, row_sum)] if keys else []


def sum_of(*digests: tuple[int, int]) -> tuple[int, int]:
    """The digest of the keys of several digests together."""
    return sum(keys for keys, _ in digests), sum(row_sum for _, row_sum in digests) % _MODULUS


def _addition(keys: int, row_sum: int) -> str:
    return f"insert into {_DIGEST} by name select {keys} as keys, {row_sum % _MODULUS} as row_sum"


def _recorded(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    """The digest of all keys by what was recorded of each change."""
    return connection.execute(
        f"select coalesce(sum(keys), 0), coalesce(sum(row_sum), 0) % {_MODULUS} from {_DIGEST}"
    ).fetchall()
