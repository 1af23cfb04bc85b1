"""The heat map: what to show of a feed in an hour, or in a day. Colour is never the only sign."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from report.queries.quality import Cell
from report.texts import some_text

# From the worst to the best, with the sign that stands for it.
MARKS = {"missing": "x", "incomplete": "!", "quarantined": "q", "balanced": "✓", "none": ""}
MEANINGS = {
    "balanced": "every record is accounted for",
    "quarantined": "balanced, with records in quarantine",
    "incomplete": "what came is not what its manifest says",
    "missing": "an expected feed delivered nothing",
    "none": "nothing was expected",
}


@dataclass(frozen=True)
class Mark:
    """One field of the map: its state, the sign, and what it says when it is read aloud."""

    state: str
    sign: str
    text: str


@dataclass(frozen=True)
class Row:
    """A feed and its marks, in the order of the map's columns."""

    feed: str
    marks: list[Mark]


def day_rows(cells: Iterable[Cell], day: date) -> list[Row]:
    """Every feed by the 24 hours of one day."""
    found = list(cells)
    by_place = {(cell.feed, cell.feed_hour_utc.hour): cell for cell in found if cell.feed_hour_utc.date() == day}
    return [Row(feed, [_hour(by_place.get((feed, hour))) for hour in range(24)]) for feed in _feeds(found)]


def days_rows(cells: Iterable[Cell], days: Sequence[date]) -> list[Row]:
    """Every feed by days: the worst of a day's hours."""
    found = list(cells)
    by_place: dict[tuple[str, date], list[Cell]] = {}
    for cell in found:
        by_place.setdefault((cell.feed, cell.feed_hour_utc.date()), []).append(cell)
    return [Row(feed, [_day(by_place.get((feed, day), [])) for day in days]) for feed in _feeds(found)]


def state_of(cell: Cell) -> str:
    """The cell's state; a balanced hour with records in quarantine is told apart."""
    return "quarantined" if cell.status == "balanced" and cell.quarantined else cell.status


def _hour(cell: Cell | None) -> Mark:
    if cell is None:
        return Mark("none", "", MEANINGS["none"])
    state = state_of(cell)
    text = f"{state}: {cell.received} received, {cell.accepted} accepted, {cell.quarantined} in quarantine"
    return Mark(state, MARKS[state], f"{text}. {some_text(cell.detail, 3)}" if cell.detail else text)


def _day(cells: list[Cell]) -> Mark:
    if not cells:
        return Mark("none", "", MEANINGS["none"])
    states = [state_of(cell) for cell in cells]
    worst = next(state for state in MARKS if state in states)
    counts = ", ".join(f"{states.count(state)} {state}" for state in MARKS if state in states)
    return Mark(worst, MARKS[worst], f"hours: {counts}")


def _feeds(cells: Iterable[Cell]) -> list[str]:
    return sorted({cell.feed for cell in cells})
