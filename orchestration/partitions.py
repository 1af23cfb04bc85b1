"""Dagster's hourly partitions, and the metadata that a run over many hours adds to each of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator

from activity_audit.base.hours import HOUR, PARTITION_FORMAT, from_partition_key, partition_key

Metadata = Mapping[str, dg.MetadataValue]

# A run over more than this plans each asset once, and not each of its hours.
_LONGEST_IN_HOURS = timedelta(days=2)
_PLAN_RANGES = "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"


def hourly(begin: datetime) -> dg.HourlyPartitionsDefinition:
    """Every feed hour from `begin` (aware, UTC) on."""
    # The current hour is a partition too: what is delivered in it may be taken before it is over.
    return dg.HourlyPartitionsDefinition(start_date=partition_key(begin), fmt=PARTITION_FORMAT, end_offset=1)


def range_tags(start: datetime, end: datetime) -> Mapping[str, str]:
    """The run tags that make a run cover the feed hours in [start, end)."""
    return {
        "dagster/asset_partition_range_start": partition_key(start),
        "dagster/asset_partition_range_end": partition_key(end - HOUR),
    }


@contextmanager
def planned(start: datetime, end: datetime) -> Iterator[None]:
    """Have this process plan the run over the feed hours in [start, end), if they are many, as one range.

    Dagster's pages know an hour to be in progress or failed by its own plan. They show the hours of a range as they
    were before, until they are materialised.
    """
    if end - start <= _LONGEST_IN_HOURS or _PLAN_RANGES in os.environ:
        yield
        return
    os.environ[_PLAN_RANGES] = "true"
    try:
        yield
    finally:
        del os.environ[_PLAN_RANGES]


def window_of(context: dg.AssetExecutionContext) -> tuple[datetime, datetime]:
    """The half-open range of feed hours that the run is for."""
    keys = context.partition_key_range
    return from_partition_key(keys.start), from_partition_key(keys.end) + HOUR


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
