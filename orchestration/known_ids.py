"""`quality.known_event_id`: the short keys by which a run finds the published events that its ids may be of.

A run adds the keys of its own events, and retention takes away those of what it deletes. What is here makes them anew
from the fact: for a warehouse that an earlier release published, and for one whose keys are not as many as its events.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from orchestration import dbt_macros
from orchestration.transactions import snapshot_now, transaction

if TYPE_CHECKING:
    import duckdb

FACT = "audit.main.fact_activity_event"
TABLE = "audit.quality.known_event_id"


@cache
def event_id_key(event_id: str = "event_id") -> str:
    """The SQL expression of an event id's key, from the dbt macro of that name, its only home."""
    return dbt_macros.expression("event_id_key.sql", "event_id_key", event_id)


def rows_of_fact(where: str) -> str:
    """The query of the rows that the table has for the events of the fact that a condition holds."""
    return f"select {event_id_key()} as event_id_key, event_hour_utc from {FACT} where {where}"


def complete(connection: duckdb.DuckDBPyConnection) -> int:
    """Make all keys anew if they are not as many as the events, in one transaction; returns how many were made.

    The catalog knows both numbers, so this costs nothing where there is nothing to do. The connection has `audit`
    attached, and the caller holds the run lock.
    """
    since = snapshot_now(connection)
    counts = f"select (select count(*) from {FACT}), (select count(*) from {TABLE})"
    ((events, keys),) = connection.execute(counts).fetchall()
    if events == keys:
        return 0
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
    return events
