"""The parts of the week and the day that events are chosen and grouped by, UTC: the weekday, the hour of the day."""

from __future__ import annotations

# A week begins on Monday.
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HOURS_OF_DAY = tuple(f"{hour:02}" for hour in range(24))
# The values of each part in their order, and the list of the filters that chooses some of them.
VALUES = {"weekday": WEEKDAYS, "hour_of_day": HOURS_OF_DAY}
CHOICES = {"weekday": "weekdays", "hour_of_day": "hours_of_day"}


def place(part: str, time: str) -> str:
    """SQL of the place that the part of a time (SQL of a plain UTC timestamp) has among its values, from 0."""
    return f"isodow({time}) - 1" if part == "weekday" else f"hour({time})"
