"""The schedule: shortly after each hour, that hour is run, and whatever else has work to do by then."""

from __future__ import annotations

from datetime import datetime, timedelta

import dagster as dg

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, floor_hour, hour_range, iso
from activity_audit.ingest.beginning import runnable
from activity_audit.ingest.planning import plan, run_ranges
from activity_audit.settings.core import Settings
from orchestration import instance
from orchestration.jobs import JOB_NAME, range_tags


def hourly_cron(lag: timedelta) -> str:
    """The cron expression of every hour's end and so long after it, to the minute."""
    return f"{int(lag.total_seconds() // 60) % 60} * * * *"


def build_schedule(settings: Settings, begin: datetime) -> dg.ScheduleDefinition:
    """The hourly schedule, at the lag that the settings give feeds to arrive.

    What is before the feed hour `begin` is left to the code that is loaded for it, and to its sensor.
    """
    lag = settings.schedule_lag

    @dg.schedule(
        name="every_hour",
        job_name=JOB_NAME,
        cron_schedule=hourly_cron(lag),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Runs the hour that ended, and every hour that an earlier run could not finish.",
    )
    def every_hour(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        # A dead run takes the place of the one run that may be under way.
        instance.fail_dead_runs(context.instance)
        due = floor_hour(context.scheduled_execution_time - lag) - HOUR
        hours = {due}
        work = plan(settings, catalogue.slugs())
        for start, end in work.ranges:
            hours |= {hour for hour in hour_range(start, end) if hour <= due}
        ranges, _ = runnable(settings, begin, run_ranges(hours, work.apart, work.again))
        return [
            dg.RunRequest(run_key=f"{iso(due)}/{iso(start)}", tags=dict(range_tags(start, end)))
            for start, end in ranges
        ]

    return every_hour
