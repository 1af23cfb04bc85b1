"""The coverage of what the report is asked about: the feed hours of its period, of the feeds of its applications."""

from __future__ import annotations

from datetime import datetime

from activity_audit.base.hours import Unit
from activity_audit.report import time_fields
from activity_audit.report.queries.query import Query, remembered
from activity_audit.warehouse import coverage
from activity_audit.warehouse.coverage import Coverage, Looked, Scope
from activity_audit.warehouse.events.coverage import feeds_of, hours_of, scope_of
from activity_audit.warehouse.events.filters import Filters


def coverage_of(query: Query, filters: Filters, now: datetime | None = None) -> Coverage:
    """The coverage of the filters' period and applications, as far as its hours are due `now` (aware)."""
    scope = scope_of(query.settings, feeds_of(filters), now)
    return coverage.total(one for _, one in _counted(query, *hours_of(filters), scope, None))


def looked_by(
    query: Query, filters: Filters, fields: tuple[str, ...], now: datetime | None = None
) -> dict[tuple[str, ...], Looked]:
    """How much of the filters' feed hours was looked at, by the values of these fields of time; elsewhere nothing."""
    scope = scope_of(query.settings, feeds_of(filters), now)
    return dict(_looked(query, *hours_of(filters), scope, fields))


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


@remembered
def _looked(
    query: Query, start: datetime, end: datetime, scope: Scope, fields: tuple[str, ...]
) -> list[tuple[tuple[str, ...], Looked]]:
    found = coverage.looked_by(
        query.rows, start, end, scope, lambda time: [time_fields.sql(one, time) for one in fields]
    )
    return [
        (tuple(time_fields.value(field, one) for field, one in zip(fields, slot, strict=True)), looked)
        for slot, looked in found.items()
    ]
