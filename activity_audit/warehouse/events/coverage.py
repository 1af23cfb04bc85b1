"""The coverage of filtered events: the feeds and feed hours that these events can come from."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import duckdb

from activity_audit.base.catalogue import slug_of, slugs
from activity_audit.base.hours import floor_hour, now_utc
from activity_audit.warehouse import coverage
from activity_audit.warehouse.coverage import Coverage, Scope
from activity_audit.warehouse.events.filters import Filters

if TYPE_CHECKING:
    from activity_audit.settings.core import Settings


def coverage_of_file(
    connection: duckdb.DuckDBPyConnection, settings: Settings, filters: Filters, now: datetime
) -> Coverage:
    """The coverage of the filters' period and applications, as far as its hours are due `now` (aware)."""
    scope = scope_of(settings, feeds_of(filters), now)
    return coverage.coverage(coverage.rows_of(connection), *hours_of(filters), scope)


def scope_of(settings: Settings, feeds: tuple[str, ...], now: datetime | None = None) -> Scope:
    """The scope of these feeds, or of all."""
    return coverage.scope(settings.expected_feeds, feeds, now or now_utc(), settings.freshness)


def hours_of(filters: Filters) -> tuple[datetime, datetime]:
    """The whole hours (aware, UTC) that the filters' period lies in."""
    # Not the end of its last hour, which may be outside the calendar.
    end = (filters.end - timedelta(microseconds=1)).replace(minute=59, second=59, microsecond=0)
    return floor_hour(filters.start), end


def feeds_of(filters: Filters) -> tuple[str, ...]:
    """The feeds of the filters' applications; none where they may have come in any."""
    without = [value for field, value in filters.excluded if field == "application"]
    excluded = {slug_of(value) for value in without if isinstance(value, str)}
    chosen = [slug_of(value) if isinstance(value, str) else None for value in filters.applications]
    # What the catalogue does not know comes in the feed of another application.
    if None in chosen or (not chosen and not excluded):
        return ()
    return tuple(sorted({slug for slug in chosen or slugs() if slug} - excluded))
