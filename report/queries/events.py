"""The rows of the report: one page after another, found by the key of a row and never by counting rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from orchestration.hours import HOUR, aware
from report.columns import COLUMNS
from report.filters import CHOICES, Filters
from report.long_texts import Digest, NoSuchTextError
from report.queries.counts import Grain, by_unit, cells, cells_as_sent, has_counts
from report.queries.kinds import kind_counts
from report.queries.orders import TIME, Key, Order, beyond, order_by
from report.queries.warehouse import Query, remembered
from report.queries.windows import windows

__all__ = ["Key", "Order", "Page", "count", "page", "page_at"]

_COLUMNS = ", ".join(column.field for column in COLUMNS)
_PLACES = {column.field: place for place, column in enumerate(COLUMNS)}
_NEWEST = Order()
_DAY = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)


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
        rows = _by_time(query, filters, order, key, reverse, limit + 1)
    elif has_counts(query, (*filters.fields, order.field)):
        rows = _by_value(query, filters, order, key, reverse, limit + 1)
    else:
        rows = _sorted(query, filters, order, key, reverse, limit + 1)
    return _page(rows, order, limit, reverse=reverse)


@remembered
def page_at(query: Query, filters: Filters, index: int, *, descending: bool = True, limit: int = 200) -> Page:
    """The rows in the order by time from the row number `index` on, from 0.

    An index behind the end is taken for the last row's.
    """
    filters = query.labels.spelled(filters)
    order = Order(descending=descending)
    within, skip = filters, index
    if has_counts(query, filters.fields):
        units: tuple[tuple[Grain, timedelta], ...] = (("day", _DAY), ("hour", HOUR))
    else:
        units = (("hour", HOUR),)
    for unit, length in units:
        held = sorted(by_unit(query, within, unit), reverse=descending)
        if not held:
            return _page([], order, limit)
        if within is filters:
            skip = min(skip, sum(n for _, n in held) - 1)
        place = 0
        while skip >= held[place][1]:
            skip -= held[place][1]
            place += 1
        begin = aware(held[place][0])
        within = replace(within, start=max(within.start, begin), end=min(within.end, begin + length))
    # An offset inside one hour is bounded by the hour.
    rows = _sorted(query, within, order, None, False, limit + 1, skip)
    if len(rows) <= limit:
        rows += _by_time(query, filters, order, _key(rows[-1], order), False, limit + 1 - len(rows))
    return _page(rows, order, limit)


def _whole(query: Query, filters: Filters, order: Order, key: Key | None) -> Key | None:
    """The key with its long texts themselves, which a link has the digests of: the row is looked for by its time."""
    if key is None or not any(isinstance(part, Digest) for part in key):
        return key
    parts = dict(zip(order.fields, key, strict=True))
    within = filters
    if at := parts.get(TIME):
        within = Filters(aware(at), aware(at) + _MOMENT)
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
    return Page(rows, _key(rows[0], order) if rows else None, _key(rows[-1], order) if rows else None, more)


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


def _by_time(
    query: Query, filters: Filters, order: Order, key: Key | None, reverse: bool, needed: int
) -> list[tuple[Any, ...]]:
    """Rows in the order by time: looked for in one window after the other."""
    descending = order.descending != reverse
    whole = filters
    if key is not None:
        at = aware(key[0])
        start, end = (
            (filters.start, min(filters.end, at + _MOMENT)) if descending else (max(filters.start, at), filters.end)
        )
        if start >= end:
            return []
        filters = replace(filters, start=start, end=end)
    rows: list[tuple[Any, ...]] = []
    for part in windows(query, whole, filters, needed, descending=descending):
        rows += _sorted(query, part, order, key, reverse, needed - len(rows))
        if len(rows) == needed:
            break
    return rows


def _by_value(
    query: Query, filters: Filters, order: Order, key: Key | None, reverse: bool, needed: int
) -> list[tuple[Any, ...]]:
    """Rows in the order by a field that the roll-ups know: those of one value after the other, each by time."""
    by_value = order.terms[:1]
    # Rows are sorted by what their cells show.
    sql, bound, reads = cells_as_sent(query, filters, (order.field,))
    where = ""
    rows: list[tuple[Any, ...]] = []
    if key is not None:
        value, *inner = key
        rows = _by_time(query, _only(filters, order.field, [value]), _NEWEST, tuple(inner), reverse, needed)
        condition, more = beyond(by_value, (value,), reverse=reverse)
        where, bound = f"where {condition}", [*bound, *more]
    counts = query.rows(
        f"select {order.field}, cast(sum(n) as bigint) from ({sql}) {where} group by 1 "
        f"order by {order_by(by_value, reverse=reverse)}",
        bound,
        reads=reads,
    )
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
            rows += _all_of(query, _only(filters, order.field, few), order, reverse)
            few = []
        rows += _by_time(query, _only(filters, order.field, [value]), _NEWEST, None, reverse, needed - len(rows))
        held = len(rows)
    if few and len(rows) < needed:
        rows += _all_of(query, _only(filters, order.field, few), order, reverse)
    return rows


def _all_of(query: Query, filters: Filters, order: Order, reverse: bool) -> list[tuple[Any, ...]]:
    """All rows that the filters keep, which are known to be few: no limit is needed, which would have every time read.

    What has none of them is passed over quickly, however long the period is.
    """
    sql, values, _ = query.files.reading(filters)
    return query.rows(f"select {_COLUMNS} {sql} order by {order_by(order.terms, reverse=reverse)}", values)


def _sorted(
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


def _only(filters: Filters, field: str, values: list[str | None]) -> Filters:
    said: dict[str, Any] = {CHOICES[field]: tuple(values)}
    return replace(filters, **said)


def _key(row: tuple[Any, ...], order: Order) -> Key:
    return tuple(row[_PLACES[field]] for field, _ in order.terms)
