"""The next page of rows: found by time windows, by the values of one field, or by sorting everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from activity_audit.base.hours import HOUR, aware, ceil_hour, floor_hour
from activity_audit.report.queries.counts import Grain, by_unit, ceil_day, cells_as_sent, floor_day
from activity_audit.report.queries.orders import NEWEST, Key, Order, beyond, order_by
from activity_audit.report.queries.rollups import PEOPLE_FIELDS
from activity_audit.report.queries.warehouse import Query
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.filters import AGGREGATED, CHOICES, Filters

MOMENT = timedelta(microseconds=1)
_COLUMNS = ", ".join(column.field for column in COLUMNS)
_PLACES = {column.field: place for place, column in enumerate(COLUMNS)}
# A piece that held less than was expected is followed by one so much larger.
_GROWTH = 8
# So many times what is needed is many.
_MANY = 4
_DAY = timedelta(days=1)


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


def windows(query: Query, whole: Filters, part: Filters, needed: int, *, descending: bool) -> Iterator[Filters]:
    """The filters of `part`, a part of the period of `whole`, on one piece of it after another.

    They begin at its end, or at its beginning if not `descending`. Each is expected to hold `needed` events by what
    the roll-ups know; pieces without any are left out. Together they have every event once.
    """
    by_people = "triggered_by" in part.fields and query.has_people
    known = PEOPLE_FIELDS if by_people else AGGREGATED
    relaxed = _relaxed(part, known, by_days=by_people)
    split = None if by_people else _split(relaxed, descending)
    counts = _counts(query, relaxed, split, descending)
    pieces = _pieces(part, counts, needed, split, descending, hours=not by_people)
    if part.fields.issubset(known):
        yield from pieces
        return
    # Of what else is asked the roll-ups know nothing. Where it is frequent, this piece has enough.
    first = next(pieces, None)
    if first is None:
        return
    yield first
    start, end = (part.start, first.start) if descending else (first.end, part.end)
    if start < end:
        rest = replace(part, start=start, end=end)
        hours = sorted(((aware(at), n) for at, n in by_unit(query, whole, "hour")), reverse=descending)
        yield from _pieces(rest, hours, needed, None, descending, hours=True)


def _pieces(
    filters: Filters,
    counts: Iterable[tuple[datetime, int]],
    needed: int,
    split: datetime | None,
    descending: bool,
    *,
    hours: bool,
) -> Iterator[Filters]:
    """The pieces by these counts, which come in the order that is asked for.

    They are of hours, or of days; or of hours only between the edge and `split`.
    """
    edge, last = (filters.end, filters.start) if descending else (filters.start, filters.end)
    # How many events of the hour, or day, at the edge are inside is not known, so they are not counted on.
    unsure = (floor_hour if hours else floor_day)(edge - MOMENT if descending else edge)
    held, some = 0, False
    for at, n in counts:
        is_hour = hours and (split is None or (at >= split if descending else at < split))
        length = HOUR if is_hour else _DAY
        if (at >= edge or at + length <= last) if descending else (at + length <= edge or at >= last):
            continue
        some = True
        if is_hour and n > _MANY * needed:
            # A busy hour has far more than a page; if its events are spread evenly, this part of it has enough.
            share = HOUR * (_MANY / 2 * needed / n)
            border = min(edge, at + HOUR) - share if descending else max(edge, at) + share
            if max(at, last) < border if descending else border < min(at + HOUR, last):
                yield _between(filters, edge, border)
                edge, held = border, 0
        held += 0 if at == unsure else n
        if held < needed:
            continue
        border = max(at, last) if descending else min(at + length, last)
        yield _between(filters, edge, border)
        edge, held, some = border, 0, False
        needed *= _GROWTH
    if some and edge != last:
        yield _between(filters, edge, last)


def _relaxed(filters: Filters, fields: Iterable[str], *, by_days: bool) -> Filters:
    """Whole hours or days, and only what is said about `fields`: at least what the filters keep."""
    known = filters
    for field in filters.fields.difference(fields):
        known = known.without(field)
    if by_days:
        known = replace(known, hours_of_day=(), time_of_day=None)
        return replace(known, start=floor_day(filters.start), end=ceil_day(filters.end))
    return replace(known, start=floor_hour(filters.start), end=ceil_hour(filters.end))


def _split(whole: Filters, descending: bool) -> datetime | None:
    """Up to where from the edge hours are looked at, and not days; None if everywhere."""
    if whole.end - whole.start <= _DAY:
        return None
    split = floor_day(whole.end - _DAY) if descending else ceil_day(whole.start + _DAY)
    return split if whole.start < split < whole.end else None


def _counts(query: Query, whole: Filters, split: datetime | None, descending: bool) -> Iterator[tuple[datetime, int]]:
    """The hours and days in the order that is asked for; those behind `split` are asked for when they are reached."""
    parts: list[tuple[Filters, Grain]] = [(whole, "day" if "triggered_by" in whole.fields else "hour")]
    if split is not None:
        early, late = replace(whole, end=split), replace(whole, start=split)
        near, far = (late, early) if descending else (early, late)
        parts = [(near, "hour"), (far, "day")]
    for part, unit in parts:
        yield from sorted(((aware(at), n) for at, n in by_unit(query, part, unit)), reverse=descending)


def _between(filters: Filters, one: datetime, other: datetime) -> Filters:
    return replace(filters, start=min(one, other), end=max(one, other))
