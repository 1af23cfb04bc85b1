"""Whether the report can be trusted: how far its data reach, when they came, and what the checks said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestration.catalogue import OWN_FEED
from orchestration.hours import HOUR, naive, now_utc
from report.queries.quality import NEWEST_CHECKED
from report.queries.warehouse import Query, remembered

# Completeness is told of the days that a user still acts on; what is older is on the quality pages.
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
        warnings: those that found something and do not.
        quarantined: records in quarantine that are not resolved.
        drift: combinations that the catalogue does not have.
        missing: feed hours of the last 7 days that brought nothing.
        incomplete: those that are not what their manifest says.
        stale: whether the data are older than is promised.
        blocked: whether the newest run published nothing, because of its checks; its id is `checked_run_id`.
        checked_run_id: the newest run whose checks are known.
    """

    data_through: datetime | None
    refreshed_at: datetime | None
    run_id: str | None
    checks_passed: int
    checks_failed: int
    warnings: int
    quarantined: int
    drift: int
    missing: int
    incomplete: int
    stale: bool
    blocked: bool
    checked_run_id: str | None


def trust(query: Query, freshness: timedelta, now: datetime | None = None) -> Trust:
    """The state of the warehouse; data older than `freshness` (`AUDIT_FRESHNESS`) are stale. `now` is aware."""
    known = _known(query)
    age = naive(now or now_utc()) - known.data_through if known.data_through else None
    return replace(known, stale=age is None or age > freshness + HOUR)


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
    missing, incomplete = query.rows(
        """
        select count(*) filter (status = 'missing'), count(*) filter (status = 'incomplete')
        from audit.quality.feed_reconciliation
        where feed_hour_utc > (select max(feed_hour_utc) from audit.quality.feed_reconciliation) - to_hours(?)
        """,
        [int(RECENT / HOUR)],
    )[0]
    checked_run, passed, failed, warnings = query.rows(
        f"""
        select
            any_value(run_id), count(*) filter (success), count(*) filter (not success and is_blocking),
            count(*) filter (not success and not is_blocking)
        from audit.quality.validation_result where run_id in ({NEWEST_CHECKED})
        """
    )[0]
    return Trust(
        data_through=hour + HOUR if hour else None,
        refreshed_at=refreshed_at,
        run_id=run_id,
        checks_passed=passed,
        checks_failed=failed,
        warnings=warnings,
        quarantined=quarantined,
        drift=drift,
        missing=missing,
        incomplete=incomplete,
        stale=hour is None,
        blocked=failed > 0,
        checked_run_id=checked_run,
    )
