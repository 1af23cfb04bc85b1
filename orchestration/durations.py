"""Durations as settings write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator

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


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
