"""The heat map of completeness: each feed by hours or days, for the quality page and the auditor's page. No HTML here.

Colour is never the only sign. The quality page draws the fields of a row with their signs, the auditor's page as bars.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal, TypeVar

from activity_audit.base.catalogue import feed_title
from activity_audit.base.hours import Unit
from activity_audit.report.texts import some_text
from activity_audit.warehouse.coverage import IS_LOOKED_AT, Coverage

Place = tuple[str, datetime]
T = TypeVar("T")
State = Literal["missing", "incomplete", "unknown", "quarantined", "balanced", "waiting", "none"]
# From the worst to the best, with the sign that stands for it.
MARKS: dict[State, str] = {
    "missing": "x", "incomplete": "!", "unknown": "?", "quarantined": "q", "balanced": "✓", "waiting": "…", "none": ""
}  # fmt: skip
MEANINGS: dict[State, str] = {
    "balanced": "every record is accounted for",
    "quarantined": "balanced, with records in quarantine",
    "incomplete": "what came is not what its manifest says",
    "missing": "an expected feed delivered nothing",
    "unknown": "no run has looked since the hour was over",
    "waiting": "not due yet",
    "none": "nothing is recorded, and the feed need not deliver",
}


@dataclass(frozen=True)
class Cell:
    """What is recorded of one feed in one unit of time (its beginning, plain UTC).

    `early` counts the hours that a run has looked at only before they were over, `refused` those that are balanced and
    have records in quarantine; `detail` is of an hour.
    """

    feed: str
    slot_utc: datetime
    hours: int = 1
    early: int = 0
    missing: int = 0
    incomplete: int = 0
    refused: int = 0
    received: int = 0
    accepted: int = 0
    quarantined: int = 0
    detail: str | None = None

    @property
    def status(self) -> State:
        """The worst status of its hours."""
        return "missing" if self.missing else "incomplete" if self.incomplete else "balanced"


@dataclass(frozen=True)
class Mark:
    """One field of the map: its state, what it says when it is read aloud, and whether records are in quarantine.

    `slot_utc` is the beginning of its unit of time, plain UTC.
    """

    state: State
    text: str
    is_refused: bool
    slot_utc: datetime


@dataclass(frozen=True)
class Row:
    """A feed and its marks, in the order of the map's columns."""

    feed: str
    marks: list[Mark]


def cells_sql(unit: Unit, condition: str, catalog: str = "") -> str:
    """The query of the cells of the feed hours that a condition chooses; `catalog` is as in `audit.`."""
    return f"""
select
    feed,
    date_trunc('{unit}', feed_hour_utc) as slot_utc,
    count(*) as hours,
    count(*) filter (not {IS_LOOKED_AT}) as early,
    count(*) filter (status = 'missing') as missing,
    count(*) filter (status = 'incomplete') as incomplete,
    count(*) filter (status = 'balanced' and quarantined > 0 and {IS_LOOKED_AT}) as refused,
    sum(received)::bigint as received,
    sum(accepted)::bigint as accepted,
    sum(quarantined)::bigint as quarantined,
    any_value(detail) as detail
from {catalog}quality.feed_reconciliation
where {condition}
group by all
order by feed, slot_utc"""


def state_of(cell: Cell | None, covered: Coverage) -> State:
    """The worst state of a unit's hours."""
    if cell and cell.status != "balanced":
        return cell.status
    if covered.unknown:
        return "unknown"
    if cell and (cell.hours > cell.early or not covered.waiting):
        return "quarantined" if cell.quarantined else "balanced"
    return "waiting" if covered.waiting else "none"


def rows(
    unit: Unit,
    slots: Sequence[datetime],
    cells: Iterable[Cell],
    covered: Mapping[Place, Coverage],
    feeds: Iterable[str] = (),
) -> list[Row]:
    """A row for each of these feeds and of those with a cell or coverage, by the names that people know.

    `slots` are the beginnings of the units of time, plain UTC.
    """
    known = {(cell.feed, cell.slot_utc): cell for cell in cells}
    named = {*feeds, *(feed for feed, _ in [*known, *covered])}
    return [
        Row(feed, [_mark(unit, slot, known.get((feed, slot)), covered.get((feed, slot), Coverage())) for slot in slots])
        for feed in sorted(named, key=lambda feed: feed_title(feed).casefold())
    ]


def merged(values: Iterable[T]) -> list[tuple[T, int, int]]:
    """Adjacent columns of one value: each with where they begin and end, the end not included."""
    found, start = [], 0
    for value, group in groupby(values):
        end = start + sum(1 for _ in group)
        found.append((value, start, end))
        start = end
    return found


def _mark(unit: Unit, slot: datetime, cell: Cell | None, covered: Coverage) -> Mark:
    state = state_of(cell, covered)
    counts = _hours(cell, covered) if unit != "hour" else ""
    return Mark(state, counts or _hour(state, cell), bool(cell and cell.quarantined), slot)


def _hour(state: State, cell: Cell | None) -> str:
    if not cell:
        return f"{state}: {MEANINGS[state]}"
    counts = f"{cell.received} received, {cell.accepted} accepted, {cell.quarantined} in quarantine"
    text = f"{state}: {MEANINGS[state]}; so far {counts}" if state in ("unknown", "waiting") else f"{state}: {counts}"
    return f"{text}. {some_text(cell.detail, 3)}" if cell.detail else text


def _hours(cell: Cell | None, covered: Coverage) -> str:
    refused = cell.refused if cell else 0
    counts: dict[State, int] = {
        "missing": covered.missing,
        "incomplete": covered.incomplete,
        "unknown": covered.unknown,
        "quarantined": refused,
        "balanced": covered.recorded - covered.missing - covered.incomplete - refused,
        "waiting": covered.waiting,
    }
    said = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    return f"hours: {said}" if said else ""
