"""Durations and feed hours as settings write them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

from activity_audit.base.hours import EARLIEST_YEAR, floor_hour, parse_time

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|m|h|d)?\s*$", re.IGNORECASE)
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# A longer one would lead out of the calendar when it is counted back from now.
_LONGEST_DURATION = timedelta(days=36_500)


def parse_duration(value: Any) -> timedelta:
    """A duration such as `90s`, `30m`, `3h`, `2d`, or a number of seconds."""
    if isinstance(value, timedelta):
        return value
    match = _DURATION.match(str(value))
    if not match:
        raise ValueError("must be a duration such as 90s, 30m, 3h or 2d")
    seconds = float(match[1]) * _UNIT_SECONDS[(match[2] or "s").lower()]
    if seconds > _LONGEST_DURATION.total_seconds():
        raise ValueError(f"must be at most {_LONGEST_DURATION.days}d")
    return timedelta(seconds=seconds)


def parse_hour(value: Any) -> datetime:
    """A feed hour such as `2026-05-01T00:00:00Z`, aware; without a zone it is UTC."""
    hour = value if isinstance(value, datetime) else parse_time(str(value))
    if floor_hour(hour) != hour or hour.year < EARLIEST_YEAR:
        raise ValueError(f"must be a full hour such as 2026-05-01T00:00:00Z, not before {EARLIEST_YEAR}")
    return hour


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Hour = Annotated[datetime, BeforeValidator(parse_hour)]
