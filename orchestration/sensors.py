"""The sensor: late, added and changed deliveries of hours that are over are run soon after they arrive."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, floor_hour, hour_range, iso, now_utc
from activity_audit.ingest.beginning import runnable
from activity_audit.ingest.planning import plan, run_ranges
from activity_audit.settings.core import Settings
from orchestration import instance
from orchestration.jobs import JOB_NAME, range_tags

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def build_sensor(settings: Settings, begin: datetime) -> dg.SensorDefinition:
    """The sensor of late deliveries. Hours that the schedule has yet to run are left to it.

    What is before the feed hour `begin` is left to the code that is loaded for it.
    """

    @dg.sensor(
        name="late_deliveries",
        job_name=JOB_NAME,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Runs every closed feed hour that has a new or changed delivery.",
    )
    def late_deliveries(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        instance.fail_dead_runs(context.instance)
        if context.instance.get_runs_count(dg.RunsFilter(job_name=JOB_NAME, statuses=_ACTIVE)):
            yield dg.SkipReason("a run is in progress; the sensor looks again after it")
            return
        scheduled = floor_hour(now_utc() - settings.schedule_lag)
        work = plan(settings, catalogue.slugs())
        hours = {hour for start, end in work.ranges for hour in hour_range(start, end) if hour + HOUR <= scheduled}
        # A change is tried once; if its run fails, the schedule tries again every hour.
        ranges, is_more = runnable(settings, begin, run_ranges(hours, work.apart, work.again))
        cursor = f"{work.fingerprint} from {iso(begin)}"
        if is_more and (not ranges or context.cursor == cursor):
            yield dg.SkipReason(f"deliveries of hours before {iso(begin)} wait until Dagster loads its code again")
            return
        if not ranges or context.cursor == cursor:
            yield dg.SkipReason("no closed feed hour has a new or changed delivery")
            return
        context.update_cursor(cursor)
        for start, end in ranges:
            yield dg.RunRequest(tags=dict(range_tags(start, end)))

    return late_deliveries
