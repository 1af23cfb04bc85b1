"""The coverage of what the report is asked about: the feed hours of its period, of the feeds of its applications."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from activity_audit.base.hours import HOUR, Unit, aware
from activity_audit.report.queries.query import Query, remembered
from activity_audit.warehouse import coverage
from activity_audit.warehouse.coverage import Coverage, Scope
from activity_audit.warehouse.events.coverage import feeds_of, hours_of, scope_of
from activity_audit.warehouse.events.filters import Filters

if TYPE_CHECKING:
    pass


def coverage_of(query: Query, filters: Filters, now: datetime | None = None) -> Coverage:
    """The coverage of the filters' period and applications, as far as its hours are due `now` (aware)."""
    return coverage.total(coverage_by(query, filters, now, None).values())


def coverage_by(
    query: Query, filters: Filters, now: datetime | None, unit: Unit | None
) -> dict[tuple[str, datetime], Coverage]:
    """The same by feed and unit of time (its beginning, plain UTC)."""
    scope = scope_of(query.settings, feeds_of(filters), now)
    return dict(_counted(query, *hours_of(filters), scope, unit))


def coverage_of_days(
    query: Query, start: datetime, end: datetime, unit: Unit | None, now: datetime | None = None
) -> dict[tuple[str, datetime], Coverage]:
    """The coverage of all feeds in [start, end), aware, whole hours, by feed and unit of time."""
    return dict(_counted(query, start, end, scope_of(query.settings, (), now), unit))


def recent(query: Query, length: int, now: datetime | None = None) -> tuple[datetime | None, Coverage | None]:
    """The coverage of all feeds in the `length` hours up to the newest that is known; None where none is.

    First comes the oldest feed hour (plain UTC), if these hours begin before it: nothing is said of what is earlier.
    """
    known = _known_hours(query)
    if known is None:
        return None, None
    oldest, newest = known
    end = aware(newest) + HOUR
    start = max(aware(oldest), end - length * HOUR)
    covered = coverage.total(coverage_of_days(query, start, end, None, now).values())
    return oldest if start > end - length * HOUR else None, covered


@remembered
def _known_hours(query: Query) -> tuple[datetime, datetime] | None:
    ends = "select min(feed_hour_utc), max(feed_hour_utc) from audit.quality.feed_reconciliation"
    oldest, newest = query.rows(ends)[0]
    return (oldest, newest) if newest else None


@remembered
def _counted(
    query: Query, start: datetime, end: datetime, scope: Scope, unit: Unit | None
) -> list[tuple[tuple[str, datetime], Coverage]]:
    return list(coverage.coverage_by(query.rows, start, end, scope, unit).items())
