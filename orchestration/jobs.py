"""The jobs: an hour or a range of hours, a replay of the quarantine, the freshness of the feeds, and the upkeep.

Each runs in one process: a step of its own process would import for longer than a small run takes (docs/adr/0006).
"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from activity_audit.base import catalogue
from activity_audit.pipeline.replay import replay
from activity_audit.pipeline.stages import ChecksFailedError
from activity_audit.upkeep.maintenance import maintain
from activity_audit.warehouse.quarantine import REASONS
from orchestration.old_runs import forget_old_runs
from orchestration.resources import Home

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

HOURLY = "hourly_pipeline"
REPLAY = "replay_quarantine"
FRESHNESS = "feed_freshness"
UPKEEP = "upkeep"
DELIVERIES = "deliveries"
JUDGE_AGAIN = "judge_again"


def hourly_pipeline(freshness: dg.AssetChecksDefinition | None) -> "UnresolvedAssetJobDefinition":
    """The job over all assets and their checks but `freshness`, which watches them from outside."""
    return dg.define_asset_job(
        HOURLY,
        selection=dg.AssetSelection.all() - dg.AssetSelection.checks(*([freshness] if freshness else [])),
        description="Lands, judges, checks and publishes the feed hours of its partitions, as one run.",
    )


def feed_freshness(freshness: dg.AssetChecksDefinition) -> "UnresolvedAssetJobDefinition":
    """The job of the freshness checks."""
    return dg.define_asset_job(
        FRESHNESS,
        selection=dg.AssetSelection.checks(freshness),
        description="Asks whether every expected feed has delivered the newest feed hour that is due.",
    )


class ReplayConfig(dg.Config):
    """Which records of the quarantine are judged again; all, where nothing is said."""

    reason: str | None = None
    feed: str | None = None


@dg.op(name=JUDGE_AGAIN)
def judge_again(context: dg.OpExecutionContext, config: ReplayConfig, home: Home) -> dict[str, Any]:
    """Judge quarantined records again, and publish what is judged otherwise as one snapshot."""
    for name, value, known in (("reason", config.reason, REASONS), ("feed", config.feed, catalogue.slugs())):
        if value is not None and value not in known:
            raise dg.Failure(f"there is no {name} {value}; known are {', '.join(known)}", allow_retries=False)
    try:
        report = replay(
            home.settings, context.run_id, config.reason, config.feed, lambda name: home.stage(context.log, name)
        )
    except ChecksFailedError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    home.warn(context.log, report.warnings)
    told = report.as_dict()
    context.add_output_metadata({"report": dg.MetadataValue.json(told)})
    return told


@dg.job(
    name=REPLAY,
    description="Judges the records in quarantine again, with the current settings, catalogue and release, and "
    "publishes the changes.",
)
def replay_quarantine() -> None:
    """A job of its own and no asset, because a replay has no feed hours that it could be materialised for."""
    judge_again()


@dg.op(name="maintain", description="Applies retention, merges small files, expires what is old.")
def apply_upkeep(context: dg.OpExecutionContext, home: Home) -> None:
    """Do what `audit maintain` does."""
    done = maintain(home.settings, forget_runs=forget_old_runs)
    for warning in done.warnings:
        context.log.warning(warning)
    context.log.info(f"{len(done.retention.due)} batches were deleted; {done.counts}")
    if done.doubts:
        raise dg.Failure(" ".join(done.doubts), allow_retries=False)
    if done.refused:
        raise dg.Failure(
            f"{len(done.retention.differing)} items differ from what was recorded, and stayed; the first: "
            f"{done.retention.differing[0]}",
            allow_retries=False,
        )


@dg.job(name=UPKEEP, description="The daily upkeep of the warehouse.")
def upkeep() -> None:
    """For those who schedule `audit maintain` nowhere else."""
    apply_upkeep()


@dg.op(name="deliver", description="Asks the questions of readers, and delivers the reports that are due.")
def deliver_reports(context: dg.OpExecutionContext, home: Home) -> None:
    """Do what `audit deliver` does."""
    from activity_audit.report.delivery.follow import follow

    done = follow(home.settings)
    for warning in done.warnings:
        context.log.warning(warning)
    context.log.info(f"{done.delivered} periods were delivered")
    if done.has_failed:
        raise dg.Failure(done.warnings[-1], allow_retries=False)


@dg.job(name=DELIVERIES, description="Delivers saved reports to those who subscribed to them, and asks questions.")
def deliveries() -> None:
    """For those who schedule `audit deliver` nowhere else."""
    deliver_reports()
