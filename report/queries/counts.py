"""How many events there are: from the roll-ups what they can say exactly, from the fact the rest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.hours import ceil_hour, floor_hour, naive
from report.filters import AGGREGATED, Filters
from report.queries.rollups import DAILY, HOURLY, KIND
from report.queries.warehouse import Query

FACT = "audit.main.fact_activity_event"
_DAY = timedelta(days=1)


def cells(filters: Filters, fields: tuple[str, ...] = (), *, by_hour: bool = False) -> tuple[str, list[Any]]:
    """A query of `begins`, the hour or the day, of `fields`, and of `n`, whose sum is the exact number of events.

    A combination may have several rows, whole days of `by_hour` too. Returns the query and the values to bind.
    """
    begin, end = ceil_hour(filters.start), floor_hour(filters.end)
    if begin >= end or not filters.fields.union(fields).issubset(AGGREGATED):
        return _of_fact(filters, fields)
    parts = [(HOURLY, begin, end)]
    first_day, last_day = ceil_day(begin), floor_day(end)
    if not by_hour and first_day < last_day:
        parts = [(HOURLY, begin, first_day), (DAILY, first_day, last_day), (HOURLY, last_day, end)]
    found = [_of_rollup(*part, filters, fields) for part in parts if part[1] < part[2]]
    ends = ((filters.start, begin), (end, filters.end))
    found += [_of_fact(replace(filters, start=start, end=stop), fields) for start, stop in ends if start < stop]
    return " union all ".join(sql for sql, _ in found), [value for _, values in found for value in values]


def count(query: Query, filters: Filters) -> int:
    """How many events the filters keep, exactly."""
    sql, values = cells(filters)
    return int(query.rows(f"select coalesce(sum(n), 0) from ({sql})", values)[0][0])


def floor_day(time: datetime) -> datetime:
    """The beginning of the UTC day that `time` lies in."""
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def ceil_day(time: datetime) -> datetime:
    """The first beginning of a UTC day at or after `time`."""
    floor = floor_day(time)
    return floor if floor == time else floor + _DAY


def _of_rollup(
    table: str, start: datetime, end: datetime, filters: Filters, fields: tuple[str, ...]
) -> tuple[str, list[Any]]:
    conditions, values = filters.conditions(AGGREGATED)
    where = " and ".join(["begins >= ?", "begins < ?", *conditions])
    names = "".join(f"{field}, " for field in fields)
    sql = f"select begins, {names}n from {table} inner join {KIND} using (kind) where {where}"
    return sql, [naive(start), naive(end), *values]


def _of_fact(filters: Filters, fields: tuple[str, ...]) -> tuple[str, list[Any]]:
    where, values = filters.where()
    names = "".join(f"{field}, " for field in fields)
    return f"select event_hour_utc as begins, {names}1 as n from {FACT} where {where}", values
