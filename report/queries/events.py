"""The rows of the report: one page after another, found by the key of a row and never by counting rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from orchestration.hours import HOUR, aware
from report.columns import COLUMNS
from report.filters import Filters
from report.queries.counts import FACT, cells, count
from report.queries.orders import Key, Order
from report.queries.warehouse import Query

__all__ = ["Key", "Order", "Page", "count", "key_at", "page"]

_COLUMNS = ", ".join(column.field for column in COLUMNS)


@dataclass(frozen=True)
class Page:
    """Rows in the order of the report's columns, the keys of the first and the last, and whether more follow.

    `more` is about the direction that was asked for: behind the last row, or before the first. Times are plain UTC.
    """

    rows: list[tuple[Any, ...]]
    first: Key | None
    last: Key | None
    more: bool


def page(
    query: Query,
    filters: Filters,
    order: Order,
    *,
    after: Key | None = None,
    before: Key | None = None,
    limit: int = 200,
) -> Page:
    """The first rows, or those next to a key: behind `after`, or before `before`.

    Raises:
        ValueError: if a key is none of this order's.
    """
    where, values = filters.where()
    reverse = before is not None
    key = before if reverse else after
    if key is not None:
        condition, bound = order.beyond(key, reverse=reverse)
        where, values = f"{where} and {condition}", [*values, *bound]
    rows = query.rows(
        f"select {_COLUMNS} from {FACT} where {where} order by {order.sql(reverse=reverse)} limit {int(limit) + 1}",
        values,
    )
    more = len(rows) > limit
    rows = rows[:limit]
    if reverse:
        rows.reverse()
    return Page(rows, _key(rows[0], order) if rows else None, _key(rows[-1], order) if rows else None, more)


def key_at(query: Query, filters: Filters, index: int, *, descending: bool = True) -> Key | None:
    """The key behind which the row number `index` stands, from 0, in the order by time; None for the beginning.

    An index behind the end is taken for the last row's.
    """
    sql, values = cells(filters)
    direction = "desc" if descending else "asc"
    hours = query.rows(
        f"select event_hour_utc, cast(sum(n) as bigint) from ({sql}) group by all order by 1 {direction}", values
    )
    skip = min(index, sum(held for _, held in hours) - 1) - 1
    if skip < 0:
        return None
    place = 0
    while skip >= hours[place][1]:
        skip -= hours[place][1]
        place += 1
    hour = aware(hours[place][0])
    within = replace(filters, start=max(filters.start, hour), end=min(filters.end, hour + HOUR))
    where, values = within.where()
    order = Order(descending=descending)
    # An offset inside one hour is bounded by the hour.
    found = query.rows(
        f"select event_time_utc, event_id from {FACT} where {where} order by {order.sql()} limit 1 offset {skip}",
        values,
    )
    return found[0]


def _key(row: tuple[Any, ...], order: Order) -> Key:
    places = {column.field: place for place, column in enumerate(COLUMNS)}
    return tuple(row[places[field]] for field, _ in order.terms)
