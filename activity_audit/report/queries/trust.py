"""Whether the report can be trusted: how far its data reach, when they came, and what the checks said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from activity_audit.base.catalogue import OWN_FEED
from activity_audit.base.hours import HOUR, naive, now_utc
from activity_audit.report.queries.coverage import coverage_of, recent
from activity_audit.report.queries.quality import NEWEST_CHECKED
from activity_audit.report.queries.warehouse import Query, remembered
from activity_audit.warehouse.coverage import Coverage
from activity_audit.warehouse.events.filters import Filters

# Where no period is asked about, completeness is told of the days that a user still acts on.
RECENT = timedelta(days=7)


@dataclass(frozen=True)
class Trust:
    """Times are plain UTC, None where there is none.

    Args:
        data_through: the end of the newest feed hour that brought anything.
        refreshed_at: when the newest run that published began.
        run_id: that run.
        checks_passed: checks of the newest run that had nothing to say.
        checks_failed: those that found something and that stop a run.
        errors: those that found more than is tolerated, and do not stop one.
        warnings: those that found something that is tolerated.
        quarantined: records in quarantine that are not resolved.
        drift: combinations that the catalogue does not have.
        stale: whether the data are older than is promised.
        blocked: whether the newest run published nothing, because of its checks; its id is `checked_run_id`.
        checked_run_id: the newest run whose checks are known.
        coverage: of the period and applications that are asked about, or else of the newest 7 days; None where no feed
            hour is known.
        of_period: whether it is of a period that is asked about.
        since: the first feed hour that is known, if the coverage is of less than 7 days for that.
    """

    data_through: datetime | None
    refreshed_at: datetime | None
    run_id: str | None
    checks_passed: int
    checks_failed: int
    errors: int
    warnings: int
    quarantined: int
    drift: int
    stale: bool
    blocked: bool
    checked_run_id: str | None
    coverage: Coverage | None = None
    of_period: bool = False
    since: datetime | None = None

    @property
    def level(self) -> str:
        """The worst that is known, or `unknown` where not all is."""
        if self.blocked or self.stale or self.errors:
            return "bad"
        if self.coverage is None or self.coverage.level == "unknown":
            return "unknown"
        return "warn" if self.coverage.level == "bad" else "good"


def trust(query: Query, freshness: timedelta, now: datetime | None = None, filters: Filters | None = None) -> Trust:
    """The state of the warehouse; data older than `freshness` (`AUDIT_FRESHNESS`) are stale. `now` is aware."""
    known, at = _known(query), now or now_utc()
    age = naive(at) - known.data_through if known.data_through else None
    known = replace(known, stale=age is None or age > freshness + HOUR)
    if filters:
        return replace(known, coverage=coverage_of(query, filters, at), of_period=True)
    since, covered = recent(query, int(RECENT / HOUR), at)
    return replace(known, coverage=covered, since=since)


@remembered
def _known(query: Query) -> Trust:
    """What the snapshot says, whatever the time is."""
    hour, refreshed_at, run_id, quarantined, drift = query.rows(
        """
        select
            (select max(feed_hour_utc) from audit.quality.feed_reconciliation
                where status <> 'missing' and feed <> ?),
            (select max(started_at_utc) from audit.quality.pipeline_run),
            (select max_by(run_id, started_at_utc) from audit.quality.pipeline_run),
            (select count(*) from audit.quality.quarantined_event where resolved_at_utc is null),
            (select count(*) from audit.quality.catalogue_drift where acknowledged_by is null)
        """,
        # That somebody reads the report does not make its data fresh.
        [OWN_FEED],
    )[0]
    checked_run, passed, failed, errors, warnings = query.rows(
        f"""
        select
            any_value(run_id), count(*) filter (success), count(*) filter (not success and is_blocking),
            count(*) filter (not success and not is_blocking and severity = 'error'),
            count(*) filter (not success and not is_blocking and severity <> 'error')
        from audit.quality.validation_result where run_id in ({NEWEST_CHECKED})
        """
    )[0]
    return Trust(
        data_through=hour + HOUR if hour else None,
        refreshed_at=refreshed_at,
        run_id=run_id,
        checks_passed=passed,
        checks_failed=failed,
        errors=errors,
        warnings=warnings,
        quarantined=quarantined,
        drift=drift,
        stale=hour is None,
        blocked=failed > 0,
        checked_run_id=checked_run,
    )
