"""What the report's pictures show: events over time, and the values with the most of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from activity_audit.base.hours import Unit
from activity_audit.report import time_fields
from activity_audit.report.queries.coverage import looked_by
from activity_audit.report.queries.groups import MOST_UNITS, Group, GroupOrder, groups, ranked
from activity_audit.report.queries.warehouse import Query
from activity_audit.warehouse.coverage import Looked
from activity_audit.warehouse.events.filters import Filters

# The longest period that is shown in each unit, so that a picture has some hundred points at most.
_LONGEST: tuple[tuple[Unit, timedelta], ...] = (
    ("hour", timedelta(days=4)), ("day", timedelta(days=190)), ("week", timedelta(days=3 * 366))
)  # fmt: skip


@dataclass(frozen=True)
class Series:
    """How many events there are in each `unit` of time: (its beginning, plain UTC; successes; failures).

    Units without an event have a point too, unless there are more than `MOST_UNITS`.
    """

    unit: Unit
    points: list[tuple[datetime, int, int]]


class Point(NamedTuple):
    """A unit of time (its beginning, plain UTC), its events, and how much of its feed hours runs have looked at."""

    at: datetime
    success: int
    failure: int
    looked: Looked


def looked_over_time(query: Query, filters: Filters, now: datetime) -> list[Point]:
    """The points of `over_time`, each with whether its feed hours were looked at, as far as they are due `now`."""
    series = over_time(query, filters)
    looked = looked_by(query, filters, (series.unit,), now)
    return [
        Point(*point, looked_of(looked, (time_fields.value(series.unit, point[0]),), point[1] + point[2]))
        for point in series.points
    ]


def looked_of(looked: Mapping[tuple[str, ...], Looked], slot: tuple[str, ...], events: int) -> Looked:
    """How much of a slot with so many events was looked at."""
    found = looked.get(slot, "not")
    # Events that came late, in another hour, are there all the same.
    return "partly" if found == "not" and events else found


def over_time(query: Query, filters: Filters) -> Series:
    """Events by outcome over the period. A week begins on Monday; the first and the last unit may be cut."""
    unit = unit_of(filters.end - filters.start)
    found = ranked(query, filters, unit, GroupOrder("value", descending=False), limit=MOST_UNITS).rows
    points = [(time_fields.begin(unit, str(group.value)), group.success, group.failure) for group in found]
    return Series(unit, points)


def top(query: Query, filters: Filters, field: str, n: int = 10) -> list[Group]:
    """The `n` values of a field with the most events.

    Raises:
        ValueError: if events cannot be grouped by the field.
    """
    return groups(query, filters, (field,), (), n)


def unit_of(length: timedelta) -> Unit:
    """The unit in which a period of this length is shown."""
    return next((unit for unit, longest in _LONGEST if length <= longest), "month")
