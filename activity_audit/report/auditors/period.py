"""What span of feed hours a page is about, and how it is cut into the slots of the heat map."""

from __future__ import annotations

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
