"""When an hour is read again, and which hours are due: pure rules over times.

An hour is read as soon as it is over and asked for, again with every hourly run, and for the last time when
it is sealed. What it was read as is told by a token, which changes exactly when it is due again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from activity_audit.base.hours import EARLIEST_YEAR, HOUR, LONGEST_GAP, floor_hour, hour_range

SEALED = "sealed"
Span = tuple[datetime, datetime]


def token(now: datetime, hour: datetime, lag: timedelta, seal_after: timedelta) -> str:
    """What a reading of an hour that is over counts as: `early`, the n-th hourly one, or the last.

    It changes at the time of the hourly schedule, `lag` after the full hour, so that the schedule and the look of
    every minute agree on when there is something to do.
    """
    looks = (now - hour - HOUR - lag) // HOUR
    if looks < 0:
        return "early"
    return SEALED if looks >= math.ceil((seal_after - lag) / HOUR) else str(looks)


def added(spans: Sequence[Span], hour: datetime) -> list[Span]:
    """Ordered, disjoint ranges with one more hour in them; what touches is joined."""
    joined: list[Span] = []
    for start, end in sorted([*spans, (hour, hour + HOUR)]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def due_hours(
    asked: Sequence[Span], sealed: Sequence[Span], now: datetime, seal_after: timedelta
) -> Iterator[datetime]:
    """The hours that are over and not sealed, since the first one that was ever asked for.

    If none was, those that would not be sealed yet and can be feed hours. A gap between two ranges that is longer than
    LONGEST_GAP is a new beginning; after the last one there is none, however long it is ago.
    """
    end = floor_hour(now)
    if not asked:
        first = end - max(math.ceil(seal_after / HOUR), 1) * HOUR
        yield from hour_range(max(first, datetime(EARLIEST_YEAR, 1, 1, tzinfo=UTC)), end)
        return
    bounds = [span for span in asked if span[0] < end]
    for at, (start, stop) in enumerate(bounds):
        following = bounds[at + 1][0] if at + 1 < len(bounds) else end
        until = following if following == end or following - stop <= LONGEST_GAP else stop
        yield from _without(start, min(until, end), sealed)


def _without(start: datetime, end: datetime, spans: Sequence[Span]) -> Iterator[datetime]:
    """The hours of a range that are in none of the spans."""
    for span_start, span_end in spans:
        if span_end <= start or span_start >= end:
            continue
        yield from hour_range(start, span_start)
        start = span_end
    yield from hour_range(start, end)


def contains(spans: Sequence[Span], hour: datetime) -> bool:
    """Whether the hour is in one of the ranges."""
    return any(start <= hour < end for start, end in spans)
