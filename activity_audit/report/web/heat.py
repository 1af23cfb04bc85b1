"""The heat map: what to show of a feed in an hour, or in a day. Colour is never the only sign."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from activity_audit.base.catalogue import feed_title
from activity_audit.report.queries.quality import Cell
from activity_audit.report.texts import some_text
from activity_audit.warehouse.coverage import Coverage

Covered = Mapping[tuple[str, datetime], Coverage]
# From the worst to the best, with the sign that stands for it.
MARKS = {
    "missing": "x", "incomplete": "!", "unknown": "?", "quarantined": "q", "balanced": "✓", "waiting": "…", "none": ""
}  # fmt: skip
MEANINGS = {
    "balanced": "every record is accounted for",
    "quarantined": "balanced, with records in quarantine",
    "incomplete": "what came is not what its manifest says",
    "missing": "an expected feed delivered nothing",
    "unknown": "no run has looked since the hour was over",
    "waiting": "not due yet",
    "none": "nothing is recorded, and the feed need not deliver",
}


@dataclass(frozen=True)
class Mark:
    """One field of the map: its state, the sign, and what it says when it is read aloud."""

    state: str
    sign: str
    text: str


@dataclass(frozen=True)
class Row:
    """A feed, as people know it, and its marks, in the order of the map's columns."""

    feed: str
    marks: list[Mark]


def day_rows(cells: Iterable[Cell], covered: Covered, day: date) -> list[Row]:
    """Every feed by the 24 hours of one day; `covered` is by hour."""
    known = {(cell.feed, cell.feed_hour_utc): cell for cell in cells}
    hours = [datetime.combine(day, time(hour)) for hour in range(24)]
    return [
        Row(feed_title(feed), [_hour(known.get((feed, at)), covered.get((feed, at), Coverage())) for at in hours])
        for feed in _feeds(known, covered)
    ]


def days_rows(cells: Iterable[Cell], covered: Covered, days: Sequence[date]) -> list[Row]:
    """Every feed by days: the worst of a day's hours; `covered` is by day."""
    known: dict[tuple[str, datetime], list[Cell]] = {}
    for cell in cells:
        known.setdefault((cell.feed, datetime.combine(cell.feed_hour_utc, time())), []).append(cell)
    begins = [datetime.combine(day, time()) for day in days]
    return [
        Row(feed_title(feed), [_day(known.get((feed, at), []), covered.get((feed, at), Coverage())) for at in begins])
        for feed in _feeds(known, covered)
    ]


def state_of(cell: Cell) -> str:
    """The cell's state; a balanced hour with records in quarantine is told apart."""
    return "quarantined" if cell.status == "balanced" and cell.quarantined else cell.status


def _hour(cell: Cell | None, covered: Coverage) -> Mark:
    state = "unknown" if covered.unknown else "waiting" if covered.waiting else state_of(cell) if cell else "none"
    text = f"{state}: {MEANINGS[state]}"
    if cell:
        counts = f"{cell.received} received, {cell.accepted} accepted, {cell.quarantined} in quarantine"
        text = f"{state}: {counts}" if state == state_of(cell) else f"{text}; so far {counts}"
        text += f". {some_text(cell.detail, 3)}" if cell.detail else ""
    return Mark(state, MARKS[state], text)


def _day(cells: list[Cell], covered: Coverage) -> Mark:
    looked = [state_of(cell) for cell in cells if cell.is_looked_at]
    states = looked + ["unknown"] * covered.unknown + ["waiting"] * covered.waiting
    if not states:
        return Mark("none", "", f"none: {MEANINGS['none']}")
    worst = next(state for state in MARKS if state in states)
    counts = ", ".join(f"{states.count(state)} {state}" for state in MARKS if state in states)
    return Mark(worst, MARKS[worst], f"hours: {counts}")


def _feeds(*places: Iterable[tuple[str, datetime]]) -> list[str]:
    return sorted({feed for found in places for feed, _ in found}, key=lambda feed: feed_title(feed).casefold())
