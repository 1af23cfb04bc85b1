"""Checks the tables that are derived from the fact: the hourly aggregate and the two dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import duckdb

from activity_audit.base.vocabulary import FACT
from activity_audit.evidence.verify.data_files import wrong_files
from activity_audit.evidence.verify.findings import Finding, Problem, listed, unreadable
from activity_audit.warehouse import lake, observed_names

_AGGREGATE = "audit.main.agg_activity_hourly"
_GROUP = "application, entity, activity, outcome"
# Each event hour that differs is looked into by itself; of more than these it is said how many they are.
_MOST_HOURS = 10


def check_aggregate(connection: duckdb.DuckDBPyConnection, where: str) -> Iterator[Finding]:
    """Compare `agg_activity_hourly` with the event hours that events of certain feed hours have, or all for `true`.

    An hour's groups are compared as one sum of hashes, so that what is in memory grows with the hours alone.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    hours = where if where == "true" else f"event_hour_utc in (select event_hour_utc from {FACT} where {where})"
    of_group = f"cast(hash({_GROUP}) as hugeint)"
    rows = connection.execute(f"""
        with
        event as (
            select event_hour_utc, count(*) as n, sum({of_group}) as groups from {FACT} where {hours} group by all
        ),
        counted as (
            select event_hour_utc, sum(event_count) as n, sum({of_group} * event_count) as groups
            from {_AGGREGATE} where {hours} group by all
        )
        select event_hour_utc, coalesce(event.n, 0), coalesce(counted.n, 0)
        from event full join counted using (event_hour_utc)
        where (event.n, event.groups) is distinct from (counted.n, counted.groups)
        order by all
    """).fetchall()
    for hour, events, counted in rows[:_MOST_HOURS]:
        problem: Problem = "missing" if counted < events else "added" if counted > events else "changed"
        detail = listed(_groups(connection, hour))
        yield Finding("derived", problem, f"agg_activity_hourly {hour:%Y-%m-%dT%H:%MZ}", detail)
    if len(rows) > _MOST_HOURS:
        what = f"agg_activity_hourly, {len(rows) - _MOST_HOURS} more event hours"
        yield Finding("derived", "changed", what, "their counts differ from the events of the fact")


def _groups(connection: duckdb.DuckDBPyConnection, hour: datetime) -> Iterator[str]:
    """The groups of an event hour that differ."""
    of_hour = f"event_hour_utc = timestamp '{hour}'"
    rows = connection.execute(f"""
        select {_GROUP}, sum(events), sum(counted) from (
            select {_GROUP}, 1 as events, 0 as counted from {FACT} where {of_hour}
            union all
            select {_GROUP}, 0, event_count from {_AGGREGATE} where {of_hour}
        )
        group by all having sum(events) <> sum(counted) order by all
    """).fetchall()
    for *group, events, counted in rows:
        yield f"{' / '.join(map(str, group))} has {events} events, but its count is {counted}"


def check_dimensions(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Compare `dim_entity_activity` and `dim_application` with all of the fact.

    An application may have had a later event that retention deleted; it may not have had an earlier one last.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    rows = connection.execute(f"""
        with
        event as (
            select
                entity_activity_key, min(application) as application, min(entity) as entity, min(activity) as activity,
                count(*) as events, min(event_time_utc) as first, max(event_time_utc) as last
            from {FACT} group by entity_activity_key
        )
        select
            coalesce(dim.application, event.application), coalesce(dim.entity, event.entity),
            coalesce(dim.activity, event.activity), dim.entity_activity_key is null,
            coalesce(event.events, 0), coalesce(dim.event_count, 0),
            first, last, dim.first_seen_utc, dim.last_seen_utc
        from event full join audit.main.dim_entity_activity as dim using (entity_activity_key)
        where (coalesce(event.events, 0), event.first, event.last)
            is distinct from (dim.event_count, dim.first_seen_utc, dim.last_seen_utc)
        order by all
    """).fetchall()
    told = [_pair(*row) for row in rows]
    if told:
        problem: Problem = "missing" if any(row[3] for row in rows) else "changed"
        yield Finding("derived", problem, f"dim_entity_activity, {len(told)} rows", listed(told))
    rows = connection.execute(f"""
        select application, last, last_event_time_utc from (
            select application, max(event_time_utc) as last from {FACT} group by all
        )
        left join audit.main.dim_application using (application)
        where last_event_time_utc is null or last_event_time_utc < last
        order by all
    """).fetchall()
    if rows:
        told = [f"{name} had its last event at {last}, but it records {said or 'never'}" for name, last, said in rows]
        yield Finding("derived", "changed", f"dim_application, {len(told)} rows", listed(told))


def check_names(connection: duckdb.DuckDBPyConnection) -> Iterator[Finding]:
    """Compare `quality.observed_name` with the aggregate, and the names in `dim_entity_activity` with it.

    A warehouse that no release with this table has published has none to compare: there is no table, or it is empty
    until the next run.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    if not lake.has_table(connection, "quality", "observed_name"):
        return
    if connection.execute(f"select 1 from {observed_names.TABLE} limit 1").fetchone() is None:
        return
    told = [
        f"{field} {spelling!r} has {events} events, but its count is {counted}"
        for field, spelling, events, counted in observed_names.differing(connection)
    ]
    if told:
        yield Finding("derived", "changed", f"observed_name, {len(told)} rows", listed(told))
    rows = connection.execute(f"{observed_names.relabelled(observed_names.TABLE)} order by all").fetchall()
    told = [f"the names of key {key} are {' / '.join(names)}" for key, *names in rows]
    if told:
        yield Finding("derived", "changed", f"dim_entity_activity, the names of {len(told)} rows", listed(told))


def _pair(
    application: str, entity: str, activity: str, is_gone: bool, events: int, counted: int, *times: datetime | None
) -> str:
    name = f"{application} / {entity} / {activity}"
    if is_gone:
        return f"{name} has {events} events and no row"
    if events != counted:
        return f"{name} has {events} events, but its count is {counted}"
    return f"{name} was seen from {times[0]} to {times[1]}, but it records {times[2]} to {times[3]}"


def check_derived(own: duckdb.DuckDBPyConnection, where: str) -> list[Finding]:
    """Compare the aggregate with the fact, and without a condition on `feed_hour_utc` the dimensions too."""
    try:
        whole = [*check_dimensions(own), *check_names(own)] if where == "true" else []
        return [*check_aggregate(own, where), *whole]
    except duckdb.Error as error:
        return [unreadable("what is derived from the fact", error), *(wrong.finding for wrong in wrong_files(own))]
