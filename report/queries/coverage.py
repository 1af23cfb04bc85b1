"""The coverage of what the report is asked about: the feed hours of its period, of the feeds of its applications."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestration import coverage
from orchestration.catalogue import slug_of, slugs
from orchestration.coverage import Coverage, Scope
from orchestration.hours import HOUR, Unit, aware, floor_hour, now_utc
from report.filters import Filters
from report.queries.query import Query, remembered

if TYPE_CHECKING:
    import duckdb

    from orchestration.settings import Settings


def coverage_of(query: Query, filters: Filters, now: datetime | None = None) -> Coverage:
    """The coverage of the filters' period and applications, as far as its hours are due `now` (aware)."""
    return coverage.total(coverage_by(query, filters, now, None).values())


def coverage_by(
    query: Query, filters: Filters, now: datetime | None, unit: Unit | None
) -> dict[tuple[str, datetime], Coverage]:
    """The same by feed and unit of time (its beginning, plain UTC)."""
    scope = scope_of(query.settings, _feeds_of(filters), now)
    return dict(_counted(query, *_hours_of(filters), scope, unit))


def coverage_of_file(
    connection: duckdb.DuckDBPyConnection, settings: Settings, filters: Filters, now: datetime
) -> Coverage:
    """The same as `coverage_of`, of a pinned reader of the warehouse."""
    scope = scope_of(settings, _feeds_of(filters), now)
    return coverage.coverage(coverage.asking(connection), *_hours_of(filters), scope)


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


def scope_of(settings: Settings, feeds: tuple[str, ...], now: datetime | None = None) -> Scope:
    """The scope of these feeds, or of all."""
    return coverage.scope(settings.expected_feeds, feeds, now or now_utc(), settings.freshness)


@remembered
def _counted(
    query: Query, start: datetime, end: datetime, scope: Scope, unit: Unit | None
) -> list[tuple[tuple[str, datetime], Coverage]]:
    return list(coverage.coverage_by(query.rows, start, end, scope, unit).items())


def _hours_of(filters: Filters) -> tuple[datetime, datetime]:
    # Not the end of its last hour, which may be outside the calendar.
    end = (filters.end - timedelta(microseconds=1)).replace(minute=59, second=59, microsecond=0)
    return floor_hour(filters.start), end


def _feeds_of(filters: Filters) -> tuple[str, ...]:
    """The feeds of the filters' applications; none where they may have come in any."""
    without = [value for field, value in filters.excluded if field == "application"]
    excluded = {slug_of(value) for value in without if isinstance(value, str)}
    chosen = [slug_of(value) if isinstance(value, str) else None for value in filters.applications]
    # What the catalogue does not know comes in the feed of another application.
    if None in chosen or (not chosen and not excluded):
        return ()
    return tuple(sorted({slug for slug in chosen or slugs() if slug} - excluded))
