"""The rows of the report: one page after another, found by the key of a row and never by counting rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from activity_audit.base.hours import HOUR, aware
from activity_audit.report.queries.counts import Grain, by_unit, cells, has_counts
from activity_audit.report.queries.event_rows import (
    MOMENT,
    by_time,
    by_value,
    counts_by_value,
    in_order,
    key_of,
    only,
)
from activity_audit.report.queries.kinds import kind_counts
from activity_audit.report.queries.orders import NEWEST, TIME, Key, Order, order_by
from activity_audit.report.queries.warehouse import Query, remembered
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.long_texts import Digest, NoSuchTextError

__all__ = ["Key", "Order", "Page", "count", "page", "page_at"]

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Page:
    """Rows in the order of the report's columns, the keys of the first and the last, and whether more follow.

    `more` is about the direction that was asked for: behind the last row, or before the first. Times are plain UTC.
    """

    rows: list[tuple[Any, ...]]
    first: Key | None
    last: Key | None
    more: bool


@remembered
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
        NoSuchTextError: if a long text of the key is in no event any more.
    """
    filters = query.labels.spelled(filters)
    reverse = before is not None
    key = _whole(query, filters, order, before if reverse else after)
    if order.field == TIME:
        rows = by_time(query, filters, order, key, reverse, limit + 1)
    elif has_counts(query, (*filters.fields, order.field)):
        rows = by_value(query, filters, order, key, reverse, limit + 1)
    else:
        rows = in_order(query, filters, order, key, reverse, limit + 1)
    return _page(rows, order, limit, reverse=reverse)


@remembered
def page_at(query: Query, filters: Filters, index: int, order: Order = NEWEST, *, limit: int = 200) -> Page:
    """The rows from the row number `index` on, from 0. An index behind the end is taken for the last row's.

    In the order of a field that nothing is counted by, the rows' keys are sorted up to there, from the nearer end.
    """
    filters = query.labels.spelled(filters)
    if order.field == TIME:
        return _page(_at_time(query, filters, index, order, limit + 1), order, limit)
    if has_counts(query, (*filters.fields, order.field)):
        return _page(_at_value(query, filters, index, order, limit + 1), order, limit)
    total = count(query, filters)
    if not total or (before := min(index, total - 1)) == 0:
        return page(query, filters, order, limit=limit)
    # The row before is looked for, so that those behind it are a page like any other.
    forth, back = before - 1, total - before
    sql, values, reads = query.files.reading(filters)
    key = query.rows(
        f"select {', '.join(order.fields)} {sql} order by {order_by(order.terms, reverse=back < forth)} "
        f"limit 1 offset {min(forth, back)}",
        values,
        reads=reads,
    )[0]
    return _page(in_order(query, filters, order, key, False, limit + 1), order, limit)


def _at_value(query: Query, filters: Filters, index: int, order: Order, needed: int) -> list[tuple[Any, ...]]:
    """The rows from a number on, in the order by a field that the roll-ups know."""
    held = counts_by_value(query, filters, order, None, False)
    if not held:
        return []
    skip, place = min(index, sum(n for _, n in held) - 1), 0
    while skip >= held[place][1]:
        skip -= held[place][1]
        place += 1
    rows = _at_time(query, only(filters, order.field, [held[place][0]]), skip, NEWEST, needed)
    if len(rows) < needed:
        rows += by_value(query, filters, order, key_of(rows[-1], order), False, needed - len(rows))
    return rows


def _at_time(query: Query, filters: Filters, index: int, order: Order, needed: int) -> list[tuple[Any, ...]]:
    """The rows from a number on, in an order by time."""
    descending = order.descending
    within, skip = filters, index
    if has_counts(query, filters.fields):
        units: tuple[tuple[Grain, timedelta], ...] = (("day", _DAY), ("hour", HOUR))
    else:
        units = (("hour", HOUR),)
    for unit, length in units:
        held = sorted(by_unit(query, within, unit), reverse=descending)
        if not held:
            return []
        if within is filters:
            skip = min(skip, sum(n for _, n in held) - 1)
        place = 0
        while skip >= held[place][1]:
            skip -= held[place][1]
            place += 1
        begin = aware(held[place][0])
        within = replace(within, start=max(within.start, begin), end=min(within.end, begin + length))
    # An offset inside one hour is bounded by the hour.
    rows = in_order(query, within, order, None, False, needed, skip)
    if len(rows) < needed:
        rows += by_time(query, filters, order, key_of(rows[-1], order), False, needed - len(rows))
    return rows


def _whole(query: Query, filters: Filters, order: Order, key: Key | None) -> Key | None:
    """The key with its long texts themselves, which a link has the digests of: the row is looked for by its time."""
    if key is None or not any(isinstance(part, Digest) for part in key):
        return key
    parts = dict(zip(order.fields, key, strict=True))
    within = filters
    if at := parts.get(TIME):
        within = Filters(aware(at), aware(at) + MOMENT)
    sql, values, reads = query.files.reading(within)
    for field, part in parts.items():
        if isinstance(part, Digest):
            found = query.rows(
                f"select {field} {sql} and sha256({field}) = ? limit 1", [*values, part.sha256], reads=reads
            )
            if not found:
                raise NoSuchTextError
            parts[field] = found[0][0]
    return tuple(parts.values())


def _page(rows: list[tuple[Any, ...]], order: Order, limit: int, *, reverse: bool = False) -> Page:
    """The page of these rows, of which there is one more than `limit` if more follow."""
    more = len(rows) > limit
    rows = rows[:limit]
    if reverse:
        rows.reverse()
    return Page(rows, key_of(rows[0], order) if rows else None, key_of(rows[-1], order) if rows else None, more)


@remembered
def count(query: Query, filters: Filters) -> int:
    """How many events the filters keep, exactly."""
    filters = query.labels.spelled(filters)
    if kinds := kind_counts(query, filters):
        return kinds.total
    if not has_counts(query, filters.fields):
        return sum(n for _, n in by_unit(query, filters, "hour"))
    sql, values, reads = cells(query, filters)
    return int(query.rows(f"select coalesce(sum(n), 0) from ({sql})", values, reads=reads)[0][0])
