"""How many events there are: from the roll-ups what they can say exactly, from the fact the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from activity_audit.base.hours import ceil_hour, floor_hour, naive
from activity_audit.report.queries import rollups
from activity_audit.report.queries.rollups import DAILY, HOURLY, KIND, MONTHLY, PEOPLE, PERSON
from activity_audit.report.queries.warehouse import Query, remembered
from activity_audit.warehouse.events.filters import AGGREGATED, Filters

Grain = Literal["hour", "day", "period"]
_DAY = timedelta(days=1)


class Cells(NamedTuple):
    """SQL with the values to bind, and about how many events it reads one by one."""

    sql: str
    values: list[Any]
    reads: int = 0


def cells(query: Query, filters: Filters, fields: tuple[str, ...] = (), *, by: Grain = "period") -> Cells:
    """SQL of `begins`, of `fields`, and of `n`, whose sum is the exact number of events; names have their labels.

    `begins` is the hour that a row counts, or `by` day its hour or day, or by period nothing that means something. A
    combination may have several rows. What the filters choose is compared with what events have.
    """
    found = cells_as_sent(query, filters, fields, by=by)
    odd = {field: labels for field in fields if (labels := query.labels.odd.get(field))}
    if not odd:
        return found
    shown = "".join(
        f"coalesce(label_of_{field}.label, sent.{field}) as {field}, " if field in odd else f"sent.{field}, "
        for field in fields
    )
    joined = " ".join(
        f"left join (select unnest(?) as {field}, unnest(?) as label) as label_of_{field} using ({field})"
        for field in odd
    )
    bound = [part for labels in odd.values() for part in (list(labels), list(labels.values()))]
    sql = f"select sent.begins, {shown}sent.n from ({found.sql}) as sent {joined}"
    return Cells(sql, [*found.values, *bound], found.reads)


def cells_as_sent(query: Query, filters: Filters, fields: tuple[str, ...] = (), *, by: Grain = "period") -> Cells:
    """The same with every name as events have it."""
    needed = filters.fields.union(fields)
    begin, end = ceil_hour(filters.start), floor_hour(filters.end)
    first_day, last_day = ceil_day(begin), floor_day(end)
    is_of_times = filters.hours_of_day or filters.time_of_day
    has_days = by != "hour" and not is_of_times and first_day < last_day
    if begin < end and needed.issubset(AGGREGATED):
        parts = [(HOURLY, begin, end)]
        if has_days:
            parts = [(HOURLY, begin, first_day), (DAILY, first_day, last_day), (HOURLY, last_day, end)]
        found = [_of_rollup(*part, KIND, filters, fields, by) for part in parts if part[1] < part[2]]
    elif has_days and query.has_people and needed.issubset(rollups.PEOPLE_FIELDS):
        begin, end = first_day, last_day
        parts = [(PEOPLE, begin, end)]
        first_month, last_month = ceil_month(begin), floor_month(end)
        if by == "period" and not filters.weekdays and first_month < last_month:
            parts = [(PEOPLE, begin, first_month), (MONTHLY, first_month, last_month), (PEOPLE, last_month, end)]
        found = [_of_rollup(*part, PERSON, filters, fields, by) for part in parts if part[1] < part[2]]
    else:
        return _of_fact(query, filters, fields)
    ends = ((filters.start, begin), (end, filters.end))
    found += [_of_fact(query, replace(filters, start=start, end=stop), fields) for start, stop in ends if start < stop]
    return together(found)


def together(parts: Iterable[Cells]) -> Cells:
    """The rows of all parts."""
    parts = list(parts)
    values = [value for part in parts for value in part.values]
    return Cells(" union all ".join(part.sql for part in parts), values, sum(part.reads for part in parts))


def has_counts(query: Query, fields: Iterable[str]) -> bool:
    """Whether whole days are counted by these fields without reading the events."""
    needed = set(fields)
    return needed.issubset(AGGREGATED) or (query.has_people and needed.issubset(rollups.PEOPLE_FIELDS))


@remembered
def by_unit(query: Query, filters: Filters, unit: Grain) -> list[tuple[datetime, int]]:
    """How many events the filters keep in each hour, or day, that has some, exactly; plain UTC, in no order."""
    sql, values, reads = cells(query, filters, by=unit)
    counted = f"select date_trunc('{unit}', begins) as unit, cast(sum(n) as bigint) from ({sql}) group by unit"
    return query.rows(counted, values, reads=reads)


def floor_day(time: datetime) -> datetime:
    """The beginning of the UTC day that `time` lies in."""
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def ceil_day(time: datetime) -> datetime:
    """The first beginning of a UTC day at or after `time`."""
    floor = floor_day(time)
    return floor if floor == time else floor + _DAY


def floor_month(time: datetime) -> datetime:
    """The beginning of the UTC month that `time` lies in."""
    return floor_day(time).replace(day=1)


def ceil_month(time: datetime) -> datetime:
    """The first beginning of a UTC month at or after `time`."""
    floor = floor_month(time)
    return floor if floor == time else floor_month(floor + 32 * _DAY)


def _of_rollup(
    table: str, start: datetime, end: datetime, names: str, filters: Filters, fields: tuple[str, ...], by: Grain
) -> Cells:
    number = "kind" if names == KIND else "person"
    # The counts of people lie by application, so that most of them need not be looked at.
    within, bound = filters.conditions(["application"] if names == PERSON else [])
    of_day, places = filters.day_conditions("begins")
    counts = f"from {table} where {' and '.join(['begins >= ? and begins < ?', *of_day, *within])}"
    if by == "period":
        # Numbers are summed up before their names are looked at: that is far less to look up.
        counts = f"(select null::timestamp as begins, {number}, sum(n) as n {counts} group by {number})"
    else:
        counts = f"(select begins, {number}, n {counts})"
    conditions, values = filters.conditions(sorted(filters.fields))
    shown = "".join(f"{field}, " for field in fields)
    where = f" where {' and '.join(conditions)}" if conditions else ""
    sql = f"select begins, {shown}n from {counts} inner join {names} using ({number}){where}"
    return Cells(sql, [naive(start), naive(end), *places, *bound, *values])


def _of_fact(query: Query, filters: Filters, fields: tuple[str, ...]) -> Cells:
    sql, values, rows = query.files.reading(filters)
    names = "".join(f"{field}, " for field in fields)
    return Cells(f"select event_hour_utc as begins, {names}1 as n {sql}", values, rows)
