"""The one job: an hour, or a range of hours, from feeds to published warehouse, in one process."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg

from activity_audit.base.hours import HOUR, partition_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

JOB_NAME = "hourly_pipeline"


def build_job(not_in_runs: Sequence[dg.AssetChecksDefinition]) -> UnresolvedAssetJobDefinition:
    """The job over all assets and their checks but `not_in_runs`, which watch the assets from outside."""
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.all() - dg.AssetSelection.checks(*not_in_runs),
        description="Lands, judges, checks and publishes the feed hours of its partitions, as one run.",
        executor_def=dg.in_process_executor,
    )


def range_tags(start: datetime, end: datetime) -> Mapping[str, str]:
    """The run tags that make a run cover the feed hours in [start, end)."""
    return {
        "dagster/asset_partition_range_start": partition_key(start),
        "dagster/asset_partition_range_end": partition_key(end - HOUR),
    }
