"""The heat map of completeness as data: which rectangles it has, and where its axis is marked. No HTML in here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal, TypeVar

from activity_audit.base.hours import HOUR
from activity_audit.report.auditors.period import Period
from activity_audit.warehouse.coverage import Coverage

State = Literal["missing", "incomplete", "unknown", "balanced", "nothing"]
T = TypeVar("T")


@dataclass(frozen=True)
class Span:
    """Adjacent columns of one state: from column `start` up to, and without, column `end`."""

    state: State
    start: int
    end: int


@dataclass(frozen=True)
class Row:
    """One feed: its spans from left to right, and the spans in which it had quarantined records."""

    feed: str
    spans: list[Span]
    quarantined: list[tuple[int, int]]


@dataclass(frozen=True)
class Tick:
    """A mark of the time axis at the left edge of a column."""

    column: int
    label: str


def state_of(cell: Mapping[str, Any] | None, covered: Coverage) -> State:
    """The state of one feed in one column: the worst of its hours; where nothing had to be looked at yet, nothing."""
    if cell and cell["missing"]:
        return "missing"
    if cell and cell["incomplete"]:
        return "incomplete"
    return "unknown" if covered.unknown else "balanced" if cell and cell["hours"] else "nothing"


def merged(states: Iterable[State]) -> list[Span]:
    """The columns of a row as spans, in which equal neighbours are one."""
    return [Span(state, start, end) for state, start, end in _stretches(states)]


def _stretches(values: Iterable[T]) -> Iterator[tuple[T, int, int]]:
    """Each value with where its equal neighbours begin and end (exclusive)."""
    start = 0
    for value, group in groupby(values):
        end = start + sum(1 for _ in group)
        yield value, start, end
        start = end


def rows(
    period: Period,
    feeds: Sequence[str],
    cells: Iterable[Mapping[str, Any]],
    covered: Mapping[tuple[str, datetime], Coverage],
) -> list[Row]:
    """A row for each feed; `cells` are the rows of the query `cells`, whose times are plain UTC timestamps."""
    slots = [slot.replace(tzinfo=None) for slot in period.slots]
    known = {(cell["feed"], cell["slot_utc"]): cell for cell in cells}
    found = []
    for feed in feeds:
        in_order = [known.get((feed, slot)) for slot in slots]
        looked = [covered.get((feed, slot), Coverage()) for slot in slots]
        marked = _stretches(bool(cell and cell["quarantined"]) for cell in in_order)
        found.append(
            Row(
                feed, merged(map(state_of, in_order, looked)), [(start, end) for is_bad, start, end in marked if is_bad]
            )
        )
    return found


def ticks(period: Period, most: int = 12) -> list[Tick]:
    """Marks at round times, no more than `most`, of which each names what the ones before it do not."""
    slots = period.slots
    if period.unit == "hour" and period.hours <= 48:
        steps = [timedelta(hours=hours) for hours in (1, 2, 3, 6, 12)]
    else:
        steps = [timedelta(days=days) for days in (1, 2, 7, 14, 28, 91, 182, 364)]
    for step in steps:
        marks = [index for index, slot in enumerate(slots) if _is_round(slot, step, slots[0])]
        if len(marks) <= most:
            break
    return [Tick(index, _label(slots, index, step, is_first=index == marks[0])) for index in marks]


def _label(slots: Sequence[datetime], index: int, step: timedelta, *, is_first: bool) -> str:
    slot = slots[index]
    if step < timedelta(days=1):
        return f"{slot:%m-%d %H:%M}" if is_first or not slot.hour else f"{slot:%H:%M}"
    return f"{slot:%m-%d}" if slots[0].year == slots[-1].year else f"{slot:%Y-%m-%d}"


def _is_round(slot: datetime, step: timedelta, first: datetime) -> bool:
    midnight = slot.replace(hour=0, minute=0)
    if step < timedelta(days=1):
        return (slot - midnight) % step == timedelta(0)
    days = (midnight - first.replace(hour=0, minute=0)) // timedelta(days=1)
    return slot - midnight < HOUR and days % (step // timedelta(days=1)) == 0
