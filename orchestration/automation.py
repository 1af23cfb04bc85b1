"""When runs start: the schedules, and the sensor of late deliveries.

Both ask `plan` which feed hours have work, as `audit run` does. Declarative automation cannot: an automation condition
is about what Dagster knows of each partition, such as whether it or its parent was materialised. A late or changed
file, an hour that was passed over, and a delivery that was set aside are known to the source, the raw lake and the
warehouse only, and the partition that they are of may be materialised long since. A condition would also start a run
for each partition; the hours of a plan are run as ranges, each as one snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg

from activity_audit.alerts.looks import look_at_feeds
from activity_audit.alerts.rounds import deliver_all
from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, floor_hour, hour_range, iso, now_utc
from activity_audit.ingest.beginning import runnable
from activity_audit.ingest.planning import plan, run_ranges
from activity_audit.settings.core import Settings
from activity_audit.warehouse.coverage import due
from orchestration import instance
from orchestration.jobs import DELIVERIES, FRESHNESS, HOURLY, UPKEEP
from orchestration.pace import Pace
from orchestration.partitions import range_tags
from orchestration.run_alerts import tell_of_runs, told_if_it_fails

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


_OVER = dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE])


def build_schedule(settings: Settings, begin: datetime) -> dg.ScheduleDefinition:
    """The hourly schedule, at the lag that the settings give feeds to arrive.

    What is before the feed hour `begin` is left to the code that is loaded for it, and to its sensor.
    """
    lag = settings.schedule_lag

    @dg.schedule(
        name="every_hour",
        job_name=HOURLY,
        cron_schedule=_hourly_cron(lag),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Runs the hour that ended, and every hour that an earlier run could not finish.",
    )
    def every_hour(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest]:
        # A dead run takes the place of the one run that may be under way.
        instance.fail_dead_runs(context.instance)
        due = floor_hour(context.scheduled_execution_time - lag) - HOUR
        hours = {due}
        with told_if_it_fails(settings, "The schedule"):
            work = plan(settings, catalogue.slugs())
        for start, end in work.ranges:
            hours |= {hour for hour in hour_range(start, end) if hour <= due}
        ranges, _ = runnable(settings, begin, run_ranges(hours, work.apart, work.again))
        return [
            dg.RunRequest(run_key=f"{iso(due)}/{iso(start)}", tags=dict(range_tags(start, end)))
            for start, end in ranges
        ]

    return every_hour


def build_freshness_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """The schedule of the freshness checks. They are not part of the hourly run, which a late feed must not hold up."""
    return dg.ScheduleDefinition(
        name="every_hour_freshness",
        job_name=FRESHNESS,
        cron_schedule=_hourly_cron(settings.freshness),
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Whenever another hour is due, looks whether its feeds are there.",
    )


def build_upkeep_schedule() -> dg.ScheduleDefinition:
    """The daily schedule of the upkeep. It is off until somebody turns it on, because it may delete."""
    return dg.ScheduleDefinition(
        name="every_day_upkeep",
        job_name=UPKEEP,
        cron_schedule="30 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="At 03:30 UTC, does what `audit maintain` does.",
    )


def build_sensor(settings: Settings, begin: datetime) -> dg.SensorDefinition:
    """The sensor of late deliveries. Hours that the schedule has yet to run are left to it.

    What is before the feed hour `begin` is left to the code that is loaded for it. Years of files in the landing folder
    make a look long, and the next one late.
    """
    pace = Pace()

    @dg.sensor(
        name="late_deliveries",
        job_name=HOURLY,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Runs every closed feed hour that has a new or changed delivery.",
    )
    def late_deliveries(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        instance.fail_dead_runs(context.instance)
        if context.instance.get_runs_count(dg.RunsFilter(job_name=HOURLY, statuses=_ACTIVE)):
            yield dg.SkipReason("a run is in progress; the sensor looks again after it")
            return
        if seconds := pace.pause():
            yield dg.SkipReason(
                f"the last look took long, so the next is in {seconds} s; move old days out of the landing folder"
            )
            return
        scheduled = floor_hour(now_utc() - settings.schedule_lag)
        with pace.look():
            work = plan(settings, catalogue.slugs())
        hours = {hour for start, end in work.ranges for hour in hour_range(start, end) if hour + HOUR <= scheduled}
        # A change is tried once, and once more if its run died with its process or machine; if its run fails, the
        # schedule tries again every hour.
        ranges, is_more = runnable(settings, begin, run_ranges(hours, work.apart, work.again))
        died = instance.last_that_died(context.instance, HOURLY)
        cursor = f"{work.fingerprint} from {iso(begin)}" + (f" after {died}" if died else "")
        if is_more and (not ranges or context.cursor == cursor):
            yield dg.SkipReason(f"deliveries of hours before {iso(begin)} wait until Dagster loads its code again")
            return
        if not ranges or context.cursor == cursor:
            yield dg.SkipReason("no closed feed hour has a new or changed delivery")
            return
        again = instance.again_tags(died) if died and died not in (context.cursor or "") else {}
        context.update_cursor(cursor)
        for start, end in ranges:
            yield dg.RunRequest(tags={**range_tags(start, end), **again})

    return late_deliveries


def build_alert_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor that tells of failed runs, and every hour of feeds that are late."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends alerts to the places of AUDIT_ALERT_TO, whenever a run or an hour is over.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        newest = context.instance.get_run_records(_OVER, limit=1, order_by="update_timestamp")
        seen = f"{newest[0].dagster_run.run_id if newest else ''} {iso(due(now_utc(), settings.freshness))}"
        if context.cursor == seen:
            warnings = deliver_all(settings)
        else:
            warnings = tell_of_runs(settings, context.instance) + look_at_feeds(settings)
            context.update_cursor(seen)
        for warning in dict.fromkeys(warnings):
            context.log.warning(warning)
        return dg.SkipReason("what there was to tell is told; it starts no run")

    return alerts


def build_delivery_sensor(settings: Settings) -> dg.SensorDefinition:
    """The schedule of deliveries, which follows the published data and not the clock."""

    @dg.sensor(
        name="due_deliveries",
        job_name=DELIVERIES,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Delivers a saved report when the published data have reached the end of its period.",
    )
    def due_deliveries(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from activity_audit.report.delivery.follow import has_work

        if not has_work(settings):
            return dg.SkipReason("no report is due, and there is no new snapshot to ask a question of")
        if context.instance.get_runs_count(dg.RunsFilter(job_name=DELIVERIES, statuses=_ACTIVE)):
            return dg.SkipReason("deliveries are in progress; the sensor looks again after them")
        return dg.RunRequest()

    return due_deliveries


def _hourly_cron(lag: timedelta) -> str:
    """The cron expression of every hour's end and so long after it, to the minute."""
    return f"{int(lag.total_seconds() // 60) % 60} * * * *"
