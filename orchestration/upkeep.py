"""The upkeep as a Dagster job, for those who schedule nothing elsewhere: what `audit maintain` does, once a day."""

import dagster as dg

from activity_audit.settings.core import Settings
from activity_audit.upkeep.maintenance import maintain
from orchestration.instance import forget_old_runs

JOB_NAME = "upkeep"


def build_upkeep(settings: Settings) -> dg.ScheduleDefinition:
    """The job and its daily schedule. It is off until somebody turns it on, because it may delete."""

    @dg.op(name="maintain", description="Applies retention, merges small files, expires what is old.")
    def apply(context: dg.OpExecutionContext) -> None:
        done = maintain(settings, forget_runs=forget_old_runs)
        for warning in done.warnings:
            context.log.warning(warning)
        context.log.info(f"{len(done.retention.due)} batches were deleted; {done.counts}")
        if done.doubts:
            raise dg.Failure(" ".join(done.doubts), allow_retries=False)
        if done.refused:
            raise dg.Failure(
                (
                    f"{len(done.retention.differing)} items differ from what was recorded, and stayed; the first: "
                    f"{done.retention.differing[0]}"
                ),
                allow_retries=False,
            )

    @dg.job(name=JOB_NAME, executor_def=dg.in_process_executor, description="The daily upkeep of the warehouse.")
    def upkeep() -> None:
        apply()

    return dg.ScheduleDefinition(
        name="every_day_upkeep",
        job=upkeep,
        cron_schedule="30 3 * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="At 03:30 UTC, does what `audit maintain` does.",
    )
