"""Decides when an hour is read again, which hours are due, and which are complete.

An hour is read as soon as it is over and asked for, again with every hourly run, and for the last time when
it is sealed. What it was read as is told by a token, which changes exactly when it is due again. Which hours were read
and sealed is in a small note beside the pages, which is made again from them if it is lost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta

from activity_audit.base.hours import EARLIEST_YEAR, HOUR, LONGEST_GAP, floor_hour, hour_range, iso, parse_time
from activity_audit.ingest.cxone.page_files import PageFiles
from activity_audit.raw.lake import RawLake
from activity_audit.raw.notes import API_HOURS

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


@dataclass
class State:
    """Ranges of hours: those that were asked for in passes that landed something, those of them that are sealed, and
    those that failed when others did not (hour by hour).
    """

    asked: list[Span] = field(default_factory=list)
    sealed: list[Span] = field(default_factory=list)
    failed: list[Span] = field(default_factory=list)

    @property
    def failed_hours(self) -> list[datetime]:
        """The hours that failed."""
        return [start for start, _ in self.failed]


class ReadHours:
    """The note about the hours. Several processes may use it at once."""

    def __init__(self, raw: RawLake) -> None:
        self._raw = raw

    def load(self) -> State:
        """What is known; from the pages where the note is lost."""
        return self._known(self._raw.notes.read(API_HOURS))

    def mark(
        self,
        asked: Iterable[datetime],
        landed: Iterable[datetime],
        sealed: Iterable[datetime],
        failed: Iterable[datetime],
    ) -> None:
        """A pass asked for these hours, and this is what became of them; the sealed ones are landed for good."""

        def marked(known: str | None) -> str:
            state = self._known(known)
            for hour in asked:
                state.asked = added(state.asked, hour)
            for hour in sealed:
                state.sealed = added(state.sealed, hour)
            failures = (set(state.failed_hours) | set(failed)) - set(landed)
            state.failed = [(hour, hour + HOUR) for hour in sorted(failures)]
            spans = {name: [[iso(a), iso(b)] for a, b in found] for name, found in asdict(state).items()}
            return json.dumps(spans)

        self._raw.notes.update(API_HOURS, marked)

    def _known(self, text: str | None) -> State:
        return _found(PageFiles(self._raw.store)) if text is None else _state(json.loads(text))


def _state(document: dict[str, list[list[str]]]) -> State:
    return State(
        **{name: [(parse_time(start), parse_time(end)) for start, end in spans] for name, spans in document.items()}
    )


def _found(pages: PageFiles) -> State:
    state = State()
    for hour, is_sealed in pages.hours():
        state.asked = added(state.asked, hour)
        if is_sealed:
            state.sealed = added(state.sealed, hour)
    return state
