"""How many events there are: from the hourly aggregate what it can say exactly, from the fact the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from orchestration.hours import ceil_hour, floor_hour
from report.filters import AGGREGATED, Filters
from report.queries.warehouse import Query

FACT = "audit.main.fact_activity_event"
HOURLY = "audit.main.agg_activity_hourly"


def cells(filters: Filters, fields: tuple[str, ...] = ()) -> tuple[str, list[Any]]:
    """A query of `event_hour_utc`, `fields` and `n`, the number of events that the filters keep, and its values.

    A combination may have several rows. The aggregate says what it knows: whole hours, and only its own fields.
    """
    columns = "".join(f"{field}, " for field in fields)
    if not filters.is_aggregated or not set(fields).issubset(AGGREGATED):
        return _of_fact(filters, columns)
    begin, end = ceil_hour(filters.start), floor_hour(filters.end)
    if begin >= end:
        return _of_fact(filters, columns)
    where, values = replace(filters, start=begin, end=end).where_hourly()
    parts = [f"select event_hour_utc, {columns}event_count as n from {HOURLY} where {where}"]
    for start, stop in ((filters.start, begin), (end, filters.end)):
        if start < stop:
            sql, bound = _of_fact(replace(filters, start=start, end=stop), columns)
            parts.append(sql)
            values += bound
    return " union all ".join(parts), values


def count(query: Query, filters: Filters) -> int:
    """How many events the filters keep, exactly."""
    sql, values = cells(filters)
    return int(query.rows(f"select coalesce(sum(n), 0) from ({sql})", values)[0][0])


def _of_fact(filters: Filters, columns: str) -> tuple[str, list[Any]]:
    where, values = filters.where()
    return f"select event_hour_utc, {columns}count(*) as n from {FACT} where {where} group by all", values
