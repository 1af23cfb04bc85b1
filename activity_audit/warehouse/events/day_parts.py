"""The parts of the week and the day that events are chosen and grouped by, UTC: the weekday, the hour of the day."""

from __future__ import annotations

import re
from datetime import time
from typing import Any

# A week begins on Monday.
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HOURS_OF_DAY = tuple(f"{hour:02}" for hour in range(24))
# The values of each part in their order, and the list of the filters that chooses some of them.
VALUES = {"weekday": WEEKDAYS, "hour_of_day": HOURS_OF_DAY}
CHOICES = {"weekday": "weekdays", "hour_of_day": "hours_of_day"}


def place(part: str, time: str) -> str:
    """SQL of the place that the part of a time (SQL of a plain UTC timestamp) has among its values, from 0."""
    return f"isodow({time}) - 1" if part == "weekday" else f"hour({time})"


# From this time of the day on, until before that one; where the first is the later one, it goes on after midnight.
Clock = tuple[time, time]
_CLOCK = re.compile(r"^\s*([0-9]{1,2}):([0-9]{2})\s*-\s*([01]?[0-9]|2[0-4]):([0-9]{2})\s*$")


def clock_text(clock: Clock) -> str:
    """`08:00-18:00`, as URLs have it."""
    return "-".join(at.strftime("%H:%M") for at in clock)


def clock_of(text: str) -> Clock:
    """What `clock_text` made the text from; 24:00 is midnight, too.

    Raises:
        ValueError: if it is none, or the two are the same.
    """
    try:
        hour, minute, last_hour, last_minute = map(int, _CLOCK.findall(text)[0])
        first, last = time(hour, minute), time(last_hour % 24 if not last_minute else last_hour, last_minute)
    except (IndexError, ValueError):
        raise ValueError(f"“{text}” is not a time of day; write it as 08:00-18:00") from None
    if first == last:
        raise ValueError(f"“{text}” has no time in it; write it as 08:00-18:00")
    return first, last


def is_of_hours(clock: Clock) -> bool:
    """Whether it begins and ends with an hour."""
    return not any(at.minute for at in clock)


def hours_of(clock: Clock) -> list[int]:
    """The hours of the day that have some of it."""
    first, last = (60 * at.hour + at.minute for at in clock)
    return [hour for hour in range(24) if (60 * hour < last) + (60 * hour + 60 > first) > (first < last)]


def clock_condition(clock: Clock, moment: str) -> tuple[str, list[Any]]:
    """SQL of whether a moment (SQL of a plain UTC timestamp) is in it, with the values to bind."""
    if is_of_hours(clock):
        return f"list_contains(?, hour({moment}))", [hours_of(clock)]
    either = "and" if clock[0] < clock[1] else "or"
    return f"(cast({moment} as time) >= ? {either} cast({moment} as time) < ?)", list(clock)
