"""What a reader of the report asks for: a period, and values to keep. Values are bound, never written into SQL."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from orchestration.hours import floor_hour, iso, naive

OUTCOMES = ("SUCCESS", "FAILURE")
# Which field of the fact and of the hourly aggregate each list of values is about.
_FIELDS = {"applications": "application", "entities": "entity", "activities": "activity", "outcomes": "outcome"}


@dataclass(frozen=True)
class Filters:
    """Events of the half-open period [start, end), by event time, UTC; an empty list of values keeps all.

    Values are as the warehouse has them. Raises ValueError if the period is empty.
    """

    start: datetime
    end: datetime
    applications: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    activities: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError("the period ends before it has begun; it is half-open, [from, to)")

    def where(self) -> tuple[str, list[Any]]:
        """The condition on a row of `fact_activity_event`, and the values to bind to its parameters."""
        return self._where("event_time_utc", naive(self.start), naive(self.end))

    def where_hourly(self) -> tuple[str, list[Any]]:
        """The condition on a row of `agg_activity_hourly`; of hours at the period's ends it keeps the whole."""
        return self._where("event_hour_utc", naive(floor_hour(self.start)), naive(self.end))

    def as_dict(self) -> dict[str, Any]:
        """The filters for people and programs, as files carry them; times are ISO 8601, UTC."""
        return {name: iso(value) if isinstance(value, datetime) else value for name, value in asdict(self).items()}

    def _where(self, time: str, start: datetime, end: datetime) -> tuple[str, list[Any]]:
        conditions = [f"{time} >= ?", f"{time} < ?"]
        values: list[Any] = [start, end]
        for name, field in _FIELDS.items():
            chosen: tuple[str, ...] = getattr(self, name)
            if chosen:
                conditions.append(f"{field} in ({', '.join('?' * len(chosen))})")
                values += chosen
        return " and ".join(conditions), values
