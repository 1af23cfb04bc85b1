"""The period of the auditor's page: its feed hours, and the columns and time axis of its heat map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from activity_audit.base.hours import HOUR

# More columns than this cannot be told apart on a sheet of paper.
LONGEST_BY_HOUR = timedelta(days=31)
DEFAULT_SPAN = timedelta(days=31)

Unit = Literal["hour", "day"]


@dataclass(frozen=True)
class Period:
    """The feed hours in [start, end), both aware, UTC, and at minute zero."""

    start: datetime
    end: datetime

    @property
    def hours(self) -> int:
        """How many feed hours it has."""
        return int((self.end - self.start) / HOUR)

    @property
    def unit(self) -> Unit:
        """What one column of the heat map is: an hour, or in a longer period a day."""
        return "hour" if self.end - self.start <= LONGEST_BY_HOUR else "day"

    @property
    def slots(self) -> list[datetime]:
        """The beginning of every column of the heat map; the first and the last day may be partly in the period."""
        step = HOUR if self.unit == "hour" else timedelta(days=1)
        slot = self.start if self.unit == "hour" else self.start.replace(hour=0)
        found = []
        while slot < self.end:
            found.append(slot)
            slot += step
        return found

    @property
    def text(self) -> str:
        """The period for people; it has no character that HTML or CSS would read anything into."""
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


def default_period(oldest_feed_hour: datetime, newest_feed_hour: datetime) -> Period:
    """The period that ends with the newest feed hour: as long as a month may be, or as all that there is."""
    end = newest_feed_hour + HOUR
    return Period(max(end - DEFAULT_SPAN, oldest_feed_hour), end)


@dataclass(frozen=True)
class Tick:
    """A mark of the time axis at the left edge of a column."""

    column: int
    label: str


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
