"""What the report's pictures show: events over time, and the values with the most of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from activity_audit.base.hours import Unit, naive, unit_begin, unit_end
from activity_audit.report.queries.counts import cells
from activity_audit.report.queries.coverage import coverage_by, coverage_of
from activity_audit.report.queries.groups import Group, groups
from activity_audit.report.queries.warehouse import Query, remembered
from activity_audit.warehouse.coverage import Coverage, Looked, total
from activity_audit.warehouse.events.filters import Filters

# The longest period that is shown in each unit, so that a picture has some hundred points at most.
_LONGEST: tuple[tuple[Unit, timedelta], ...] = (
    ("hour", timedelta(days=4)), ("day", timedelta(days=190)), ("week", timedelta(days=3 * 366))
)  # fmt: skip
_MOST_POINTS = 600


@dataclass(frozen=True)
class Series:
    """How many events there are in each `unit` of time: (its beginning, plain UTC; successes; failures).

    Units without an event have a point too, unless the period is so long that they would be too many.
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
    if filters.end - filters.start > _MOST_POINTS * timedelta(days=31):
        looked = coverage_of(query, filters, now).looked
        return [Point(*point, looked) for point in series.points]
    by_unit: dict[datetime, list[Coverage]] = {}
    for (_, at), one in coverage_by(query, filters, now, series.unit).items():
        by_unit.setdefault(at, []).append(one)
    return [Point(*point, _looked(total(by_unit.get(point[0], [])), point)) for point in series.points]


def _looked(covered: Coverage, point: tuple[datetime, int, int]) -> Looked:
    # Events that came late, in another hour, are there all the same.
    return "partly" if covered.looked == "not" and (point[1] or point[2]) else covered.looked


@remembered
def over_time(query: Query, filters: Filters) -> Series:
    """Events by outcome over the period. A week begins on Monday; the first and the last unit may be cut."""
    filters = query.labels.spelled(filters)
    unit = unit_of(filters.end - filters.start)
    sql, values, reads = cells(query, filters, ("outcome",), by="hour" if unit == "hour" else "day")
    rows = query.rows(
        f"select date_trunc('{unit}', begins) as unit, "
        "cast(coalesce(sum(n) filter (outcome = 'SUCCESS'), 0) as bigint), "
        "cast(coalesce(sum(n) filter (outcome = 'FAILURE'), 0) as bigint) "
        f"from ({sql}) group by all order by 1",
        values,
        reads=reads,
    )
    return Series(unit, _with_empty(rows, unit, filters))


def top(query: Query, filters: Filters, field: str, n: int = 10) -> list[Group]:
    """The `n` values of a field with the most events.

    Raises:
        ValueError: if events cannot be grouped by the field.
    """
    return groups(query, filters, (field,), (), n)


def unit_of(length: timedelta) -> Unit:
    """The unit in which a period of this length is shown."""
    return next((unit for unit, longest in _LONGEST if length <= longest), "month")


def _with_empty(rows: list[tuple[datetime, int, int]], unit: Unit, filters: Filters) -> list[tuple[datetime, int, int]]:
    at, end = unit_begin(naive(filters.start), unit), naive(filters.end)
    known = {row[0]: row for row in rows}
    points: list[tuple[datetime, int, int]] = []
    while at < end:
        if len(points) > _MOST_POINTS:
            return rows
        points.append(known.get(at, (at, 0, 0)))
        at = unit_end(at, unit)
    return points
