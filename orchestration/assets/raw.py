"""One asset per application: its feed in the raw lake, partitioned by feed hour."""

from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from orchestration import catalogue
from orchestration.feeds.raw_index import LandedDelivery
from orchestration.feeds.raw_parquet import preview
from orchestration.feeds.set_aside import SetAside
from orchestration.feeds.source import SourceRefusedError
from orchestration.hours import HOUR, from_partition_key
from orchestration.partitions import hourly
from orchestration.pipeline import land_feeds
from orchestration.progress import Progress
from orchestration.settings import Settings

_MOST_SHOWN = 20
GROUP = "raw"
OWNERS = ["team:data-engineering"]


def asset_key(slug: str) -> dg.AssetKey:
    """The asset of a feed."""
    return dg.AssetKey(["raw", slug])


def specs() -> list[dg.AssetSpec]:
    """The raw asset of every feed that the catalogue knows."""
    return [
        dg.AssetSpec(
            asset_key(application.slug),
            description=f"Every record that the feed of {application.name} ({application.display_name}) delivered in "
            "an hour, as it came: one immutable Parquet file per delivery.",
            group_name=GROUP,
            owners=OWNERS,
            kinds={"parquet", "duckdb"},
            partitions_def=hourly,
            metadata={"application": application.name, "in_report_prompt": application.in_report_prompt},
        )
        for application in catalogue.applications()
    ]


def window_of(context: dg.AssetExecutionContext) -> tuple[datetime, datetime]:
    """The half-open range of feed hours that the run is for."""
    keys = context.partition_key_range
    return from_partition_key(keys.start), from_partition_key(keys.end) + HOUR


def selected_feeds(context: dg.AssetExecutionContext) -> list[str]:
    """The slugs of the raw assets that the run materialises."""
    return [slug for slug in catalogue.slugs() if asset_key(slug) in context.selected_asset_keys]


@dg.multi_asset(
    name="land_feeds",
    specs=specs(),
    can_subset=True,
    backfill_policy=dg.BackfillPolicy.single_run(),
    required_resource_keys={"settings", "progress"},
    # A source may be out of reach for a while; a delivery that cannot be understood is no error at all.
    retry_policy=dg.RetryPolicy(max_retries=3, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS),
)
def raw_feeds(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """Land what is new or changed for the run's feeds and hours."""
    settings: Settings = context.resources.settings
    progress: Progress = context.resources.progress
    try:
        report = land_feeds(settings, selected_feeds(context), window_of(context), progress.landing)
    except SourceRefusedError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    for warning in report.warnings:
        context.log.warning(warning)
        progress.warn(warning)
    for slug in selected_feeds(context):
        landed = [delivery for delivery in report.new if delivery.feed == slug]
        aside = [one for one in report.set_aside if one.feed == slug]
        yield dg.MaterializeResult(asset_key=asset_key(slug), metadata=_metadata(settings, landed, aside))


def _metadata(settings: Settings, landed: list[LandedDelivery], aside: list[SetAside]) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {
        "new_deliveries": dg.MetadataValue.int(len(landed)),
        "dagster/row_count": dg.MetadataValue.int(sum(delivery.records for delivery in landed)),
        "bytes": dg.MetadataValue.int(sum(delivery.bytes for delivery in landed)),
    }
    if aside:
        metadata["set_aside"] = dg.MetadataValue.text("\n".join(one.sentence for one in aside[:_MOST_SHOWN]))
    if landed:
        newest = landed[-1]
        metadata["sha256"] = dg.MetadataValue.text(", ".join(delivery.sha256 for delivery in landed[-24:]))
        metadata["path"] = dg.MetadataValue.path(str(settings.raw_dir / newest.raw_path))
        metadata["preview"] = dg.MetadataValue.md(preview(settings.raw_dir / newest.raw_path))
    return metadata
