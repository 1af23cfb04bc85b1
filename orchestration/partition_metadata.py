"""What is said of each partition of a run over a range: its own counts, and not those of the whole run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import dagster as dg
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator

from activity_audit.base.hours import partition_key

Metadata = Mapping[str, dg.MetadataValue]


def say_of_hours(
    context: dg.AssetExecutionContext, of_assets: Mapping[dg.AssetKey, Mapping[datetime, Metadata]]
) -> None:
    """Have the materialisations of these assets say this of these feed hours, besides what is said of all of them.

    It is `context.add_asset_metadata` for all of them at once. That enumerates the partitions, and copies what is said
    already, at each call: a month of 18 assets would take minutes.
    """
    step = context._step_execution_context
    said: dict[Any, Metadata] = {
        AssetMetadataHandle(asset_key=asset, partition_key=partition_key(hour)): metadata
        for asset, hours in of_assets.items()
        for hour, metadata in hours.items()
    }
    known = step._metadata_accumulator.per_output_metadata
    step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata={**known, **said})
