"""Has `quality.known_event_id` exactly the keys of the fact's event ids? By them a run finds what is published."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from activity_audit.evidence.verify.findings import Finding, Problem, listed
from activity_audit.warehouse import lake
from activity_audit.warehouse.known_ids import FACT, TABLE, differing_hours, event_id_key, rows_of_fact

if TYPE_CHECKING:
    import duckdb

# Each event hour that differs is looked into by itself; of more than these it is said how many they are.
_MOST_HOURS = 10


def check_known_ids(connection: duckdb.DuckDBPyConnection, where: str) -> Iterator[Finding]:
    """Compare the keys of the event hours that have events of certain feed hours, or of all where `where` is `true`.

    `where` is a condition on `feed_hour_utc`. A warehouse that no release with these keys has published has none to
    compare.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    if not lake.has_table(connection, "quality", "known_event_id"):
        return
    hours = where if where == "true" else f"event_hour_utc in (select event_hour_utc from {FACT} where {where})"
    rows = differing_hours(connection, hours)
    for hour, events, keys in rows[:_MOST_HOURS]:
        yield _look(connection, hour, events, keys)
    if len(rows) > _MOST_HOURS:
        yield Finding("key", "changed", f"{len(rows) - _MOST_HOURS} more event hours", "their keys differ too")


def _look(connection: duckdb.DuckDBPyConnection, hour: datetime, events: int, keys: int) -> Finding:
    """Which events of an hour have no key, and which keys no event."""
    of_hour = f"event_hour_utc = timestamp '{hour}'"
    without_key = connection.execute(f"""
        select event_id from (
            select event_id, {event_id_key()} as event_id_key,
                row_number() over (partition by event_id_key order by event_id) as n
            from {FACT} where {of_hour}
        )
        left join (
            select event_id_key, count(*) as keys from {TABLE} where {of_hour} group by all
        ) using (event_id_key)
        where n > coalesce(keys, 0) order by all
    """).fetchall()
    without_event = connection.execute(f"""
        select event_id_key from {TABLE} where {of_hour}
        except all select event_id_key from ({rows_of_fact(of_hour)}) order by all
    """).fetchall()
    parts = []
    if without_key:
        parts.append(f"{len(without_key)} events have no key: {listed(row[0] for row in without_key)}")
    if without_event:
        parts.append(f"{len(without_event)} keys belong to no event: {listed(str(row[0]) for row in without_event)}")
    problem: Problem = "missing" if keys < events else "added" if keys > events else "changed"
    return Finding("key", problem, f"event hour {hour:%Y-%m-%dT%H:%MZ}", "; ".join(parts))
