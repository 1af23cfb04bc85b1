"""Where in a long period the next rows are: parts of it, one after another, each expected to hold enough of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from activity_audit.base.hours import HOUR, aware, ceil_hour, floor_hour
from activity_audit.report.queries.counts import Grain, by_unit, ceil_day, floor_day
from activity_audit.report.queries.people import FIELDS
from activity_audit.report.queries.warehouse import Query
from activity_audit.warehouse.events.filters import AGGREGATED, Filters

# A piece that held less than was expected is followed by one so much larger.
_GROWTH = 8
# So many times what is needed is many.
_MANY = 4
_DAY = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)


def windows(query: Query, whole: Filters, part: Filters, needed: int, *, descending: bool) -> Iterator[Filters]:
    """The filters of `part`, a part of the period of `whole`, on one piece of it after another.

    They begin at its end, or at its beginning if not `descending`. Each is expected to hold `needed` events by what
    the roll-ups know; pieces without any are left out. Together they have every event once.
    """
    by_people = "triggered_by" in part.fields and query.has_people
    known = FIELDS if by_people else AGGREGATED
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
    unsure = (floor_hour if hours else floor_day)(edge - _MOMENT if descending else edge)
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
