"""The freshness checks: whether each expected feed has delivered the newest feed hour that is due.

They look at the partition of that hour alone, so that a backfill of old hours makes no feed look fresh.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from activity_audit.base.hours import HOUR, floor_hour, iso, now_utc
from activity_audit.ingest.landing import open_index
from activity_audit.settings.core import Settings
from orchestration.assets.raw import asset_key
from orchestration.schedules import hourly_cron

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

JOB_NAME = "feed_freshness"
CHECK_NAME = "newest_hour_is_there"
# How long after its schedule an hour's run may take before its feeds count as late.
_GRACE = timedelta(minutes=30)


@dataclass(frozen=True)
class Freshness:
    """The checks of all expected feeds, the job that makes them, and its schedule."""

    checks: dg.AssetChecksDefinition
    job: "UnresolvedAssetJobDefinition"
    schedule: dg.ScheduleDefinition


def due_hour(now: datetime, lag: timedelta) -> datetime:
    """The newest feed hour that must be there by `now` (aware), if hours are run `lag` after their end."""
    return floor_hour(now - lag - _GRACE) - HOUR


def build_freshness(settings: Settings) -> Freshness:
    """The freshness checks for these settings; they warn, and `audit status` says what it means."""

    @dg.multi_asset_check(
        name="freshness",
        specs=[
            dg.AssetCheckSpec(
                CHECK_NAME,
                asset=asset_key(slug),
                description="The newest feed hour that is due has a delivery of this feed in the raw lake.",
            )
            for slug in settings.expected_feeds
        ],
        can_subset=True,
    )
    def freshness(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        hour = due_hour(now_utc(), settings.schedule_lag)
        landed = open_index(settings.raw_dir).deliveries(settings.expected_feeds, (hour, hour + HOUR))
        fresh = {delivery.feed for delivery in landed}
        for slug in settings.expected_feeds:
            if dg.AssetCheckKey(asset_key(slug), CHECK_NAME) in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    asset_key=asset_key(slug),
                    check_name=CHECK_NAME,
                    passed=slug in fresh,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"feed_hour_due": iso(hour)},
                )

    job = dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.checks(freshness),
        description="Asks whether every expected feed has delivered the newest feed hour that is due.",
        executor_def=dg.in_process_executor,
    )
    schedule = dg.ScheduleDefinition(
        name="every_hour_freshness",
        job=job,
        cron_schedule=hourly_cron(settings.schedule_lag + _GRACE),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Half an hour after each hour's run, looks whether its feeds are there.",
    )
    return Freshness(freshness, job, schedule)
