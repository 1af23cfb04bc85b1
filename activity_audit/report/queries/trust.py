"""Whether the report can be trusted: the verdicts on the warehouse, remembered for as long as a snapshot is shown."""

from __future__ import annotations

from datetime import datetime

from activity_audit.base.hours import now_utc
from activity_audit.report.queries.coverage import coverage_of, coverage_of_days
from activity_audit.report.queries.query import Query, remembered
from activity_audit.warehouse import coverage, verdicts
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.verdicts import Condition, State


def trust(query: Query, now: datetime | None = None, filters: Filters | None = None) -> Condition:
    """The condition of the warehouse `now` (aware), with the coverage of the filters' period or of the newest days."""
    found, at, freshness = known(query), now or now_utc(), query.settings.freshness
    if filters:
        return verdicts.judged(found, coverage_of(query, filters, at), at, freshness, of_period=True)
    covered = coverage.total(coverage_of_days(query, *found.recent, None, at).values()) if found.recent else None
    return verdicts.judged(found, covered, at, freshness)


@remembered
def known(query: Query) -> State:
    """The figures of the snapshot, whatever the time is."""
    return verdicts.state(query.rows)
