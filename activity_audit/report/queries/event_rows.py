"""The rows that are next in an order: by time in one window after the other, by value, or by sorting all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from activity_audit.base.hours import aware
from activity_audit.report.queries.counts import cells_as_sent
from activity_audit.report.queries.orders import Key, Order, beyond, order_by
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.queries.windows import windows
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.filters import CHOICES, Filters

MOMENT = timedelta(microseconds=1)
NEWEST = Order()
_COLUMNS = ", ".join(column.field for column in COLUMNS)
_PLACES = {column.field: place for place, column in enumerate(COLUMNS)}


def by_time(
    query: Query, filters: Filters, order: Order, key: Key | None, reverse: bool, needed: int
) -> list[tuple[Any, ...]]:
    """Rows in the order by time: looked for in one window after the other."""
    descending = order.descending != reverse
    whole = filters
    if key is not None:
        at = aware(key[0])
        start, end = (
            (filters.start, min(filters.end, at + MOMENT)) if descending else (max(filters.start, at), filters.end)
        )
        if start >= end:
            return []
        filters = replace(filters, start=start, end=end)
    rows: list[tuple[Any, ...]] = []
    for part in windows(query, whole, filters, needed, descending=descending):
        rows += in_order(query, part, order, key, reverse, needed - len(rows))
        if len(rows) == needed:
            break
    return rows


def by_value(
    query: Query, filters: Filters, order: Order, key: Key | None, reverse: bool, needed: int
) -> list[tuple[Any, ...]]:
    """Rows in the order by a field that the roll-ups know: those of one value after the other, each by time."""
    rows: list[tuple[Any, ...]] = []
    if key is not None:
        value, *inner = key
        rows = by_time(query, only(filters, order.field, [value]), NEWEST, tuple(inner), reverse, needed)
    counts = counts_by_value(query, filters, order, key, reverse)
    few: list[str | None] = []
    held = len(rows)
    for value, n in counts:
        if len(rows) >= needed:
            break
        if held + n < needed:
            # All of its rows are on the page: such values are fetched together.
            few.append(value)
            held += n
            continue
        if few:
            rows += _all_of(query, only(filters, order.field, few), order, reverse)
            few = []
        rows += by_time(query, only(filters, order.field, [value]), NEWEST, None, reverse, needed - len(rows))
        held = len(rows)
    if few and len(rows) < needed:
        rows += _all_of(query, only(filters, order.field, few), order, reverse)
    return rows


def counts_by_value(
    query: Query, filters: Filters, order: Order, key: Key | None, reverse: bool
) -> list[tuple[str | None, int]]:
    """The values of the order's field with their numbers of events, in the order; those beyond a key's value."""
    terms = order.terms[:1]
    # Rows are sorted by what their cells show.
    sql, bound, reads = cells_as_sent(query, filters, (order.field,))
    where = ""
    if key is not None:
        condition, more = beyond(terms, key[:1], reverse=reverse)
        where, bound = f"where {condition}", [*bound, *more]
    return query.rows(
        f"select {order.field}, cast(sum(n) as bigint) from ({sql}) {where} group by {order.field} "
        f"order by {order_by(terms, reverse=reverse)}",
        bound,
        reads=reads,
    )


def _all_of(query: Query, filters: Filters, order: Order, reverse: bool) -> list[tuple[Any, ...]]:
    """All rows that the filters keep, which are known to be few: no limit is needed, which would have every time read.

    What has none of them is passed over quickly, however long the period is.
    """
    sql, values, _ = query.files.reading(filters)
    return query.rows(f"select {_COLUMNS} {sql} order by {order_by(order.terms, reverse=reverse)}", values)


def in_order(
    query: Query, filters: Filters, order: Order, key: Key | None, reverse: bool, needed: int, skip: int = 0
) -> list[tuple[Any, ...]]:
    """Rows in any order, by sorting all that the filters keep; no more than are needed, or skipped, are held."""
    sql, values, reads = query.files.reading(filters)
    if key is not None:
        condition, bound = beyond(order.terms, key, reverse=reverse)
        sql, values = f"{sql} and {condition}", [*values, *bound]
    return query.rows(
        f"select {_COLUMNS} {sql} order by {order_by(order.terms, reverse=reverse)} "
        f"limit {int(needed)} offset {int(skip)}",
        values,
        reads=reads,
    )


def only(filters: Filters, field: str, values: list[str | None]) -> Filters:
    """The filters with these values of a field only."""
    said: dict[str, Any] = {CHOICES[field]: tuple(values)}
    return replace(filters, **said)


def key_of(row: tuple[Any, ...], order: Order) -> Key:
    """The row's key in this order."""
    return tuple(row[_PLACES[field]] for field, _ in order.terms)
