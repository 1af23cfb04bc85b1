"""The Dagster job of a replay: judges the records in quarantine again. The command line executes it, and so may the UI.

It is a job of its own and no asset, because a replay has no feed hours that it could be materialised for.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from activity_audit.base import catalogue
from activity_audit.base.progress import Progress
from activity_audit.pipeline.replay import replay
from activity_audit.pipeline.run import ChecksFailedError
from activity_audit.settings.core import Settings
from activity_audit.warehouse.quarantine import REASONS

JOB_NAME = "replay_quarantine"
OP_NAME = "judge_again"


class ReplayConfig(dg.Config):
    """Which records of the quarantine are judged again; all, where nothing is said."""

    reason: str | None = None
    feed: str | None = None


@dg.op(name=OP_NAME, required_resource_keys={"settings", "progress"})
def judge_again(context: dg.OpExecutionContext, config: ReplayConfig) -> dict[str, Any]:
    """Judge quarantined records again, and publish what is judged otherwise as one snapshot."""
    settings: Settings = context.resources.settings
    progress: Progress = context.resources.progress
    for name, value, known in (("reason", config.reason, REASONS), ("feed", config.feed, catalogue.slugs())):
        if value is not None and value not in known:
            raise dg.Failure(f"there is no {name} {value}; known are {', '.join(known)}", allow_retries=False)

    def stage(name: str) -> None:
        context.log.info(name)
        progress.stage(name)

    try:
        report = replay(settings, context.run_id, config.reason, config.feed, stage)
    except ChecksFailedError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    for warning in report.warnings:
        context.log.warning(warning)
    told = report.as_dict()
    context.add_output_metadata({"report": dg.MetadataValue.json(told)})
    return told


def build_replay_job(resources: Mapping[str, dg.ResourceDefinition]) -> dg.JobDefinition:
    """The job, with config for its one op: `reason` and `feed`; `resources` has `settings` and `progress`."""

    @dg.job(
        name=JOB_NAME,
        description=(
            "Judges the records in quarantine again, with the current settings, catalogue and release, "
            "and publishes the changes."
        ),
        executor_def=dg.in_process_executor,
        resource_defs={**resources, "io_manager": dg.mem_io_manager},
    )
    def job() -> None:
        judge_again()

    return job
