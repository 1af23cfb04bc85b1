"""The coverage of what the report is asked about: the feed hours of its period, of the feeds of its applications."""

from __future__ import annotations

from datetime import datetime

from activity_audit.base.hours import Unit
from activity_audit.report.queries.query import Query, remembered
from activity_audit.warehouse import coverage
from activity_audit.warehouse.coverage import Coverage, Scope
from activity_audit.warehouse.events.coverage import feeds_of, hours_of, scope_of
from activity_audit.warehouse.events.filters import Filters


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


@remembered
def _counted(
    query: Query, start: datetime, end: datetime, scope: Scope, unit: Unit | None
) -> list[tuple[tuple[str, datetime], Coverage]]:
    return list(coverage.coverage_by(query.rows, start, end, scope, unit).items())
