"""One asset per application: its feed in the raw lake, partitioned by feed hour."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import dagster as dg
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random

from activity_audit.base import catalogue
from activity_audit.base.hours import hour_range, interval
from activity_audit.base.json_log import about
from activity_audit.base.shown_text import visible
from activity_audit.ingest.landing import LandingReport
from activity_audit.ingest.set_aside import SetAside
from activity_audit.ingest.sources.source import SourceRefusedError
from activity_audit.pipeline.run import land_feeds
from activity_audit.raw.files import preview
from activity_audit.raw.index import LandedDelivery
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from orchestration.partitions import Metadata, say_of_hours, window_of
from orchestration.resources import Home

_MOST_SHOWN = 20
# A source may be out of reach for a while; a delivery that cannot be understood is not an error. This is not the
# asset's retry policy, for which Dagster would take what stops a run for an error and go on with the run. Nor could it
# be stopped while it waits.
_TRIES = Retrying(
    retry=retry_if_exception(lambda error: isinstance(error, Exception) and not isinstance(error, SourceRefusedError)),
    stop=stop_after_attempt(4),
    wait=wait_exponential(multiplier=5) + wait_random(0, 2),
    reraise=True,
)
GROUP = "raw"
OWNERS = ["team:data-engineering"]


def asset_key(slug: str) -> dg.AssetKey:
    """The asset of a feed."""
    return dg.AssetKey(["raw", slug])


def specs(partitions: dg.PartitionsDefinition) -> list[dg.AssetSpec]:
    """The raw asset of every feed that the catalogue knows."""
    return [
        dg.AssetSpec(
            asset_key(application.slug),
            description=f"Every record that the feed of {application.name} ({application.display_name}) delivered in "
            "an hour, as it came: one immutable Parquet file per delivery.",
            group_name=GROUP,
            owners=OWNERS,
            kinds={"parquet", "duckdb"},
            partitions_def=partitions,
            metadata={"application": application.name, "in_report_prompt": application.in_report_prompt},
        )
        for application in catalogue.applications()
    ]


def selected_feeds(context: dg.AssetExecutionContext) -> list[str]:
    """The slugs of the raw assets that the run materialises."""
    return [slug for slug in catalogue.slugs() if asset_key(slug) in context.selected_asset_keys]


def build_raw_asset(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The multi-asset of all feeds."""

    @dg.multi_asset(
        name="land_feeds",
        specs=specs(partitions),
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def raw_feeds(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
        """Land what is new or changed for the run's feeds and hours."""
        settings = home.settings
        window = window_of(context)
        feeds = selected_feeds(context)
        try:
            with about(run_id=context.run_id, hour=interval(*window)):
                report = _tries(context)(land_feeds, settings, feeds, window, home.progress.landing)
        except SourceRefusedError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        home.warn(context.log, report.warnings)
        hours = list(hour_range(*window))
        say_of_hours(context, {asset_key(slug): _of_hours(settings, slug, hours, report) for slug in feeds})
        for slug in feeds:
            yield dg.MaterializeResult(asset_key=asset_key(slug))

    return raw_feeds


def _tries(context: dg.AssetExecutionContext) -> Retrying:
    """What calls a function again after an error, and says so in the run's log."""

    def say(state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        context.log.warning(f"{error}; landing is tried again in {state.upcoming_sleep:.0f} s")

    return _TRIES.copy(before_sleep=say)


def _of_hours(
    settings: Settings, slug: str, hours: Sequence[datetime], report: LandingReport
) -> dict[datetime, Metadata]:
    """What is said of a feed's hours: the deliveries that are new, and what is set aside, of the hour or of none."""
    landed: dict[datetime, list[LandedDelivery]] = {}
    for delivery in report.new:
        if delivery.feed == slug:
            landed.setdefault(delivery.feed_hour, []).append(delivery)
    aside = [one for one in report.set_aside if one.feed == slug]
    # It is a table of rows, for a person; one of each of a month's hours would be most of what Dagster keeps.
    shown = max(landed, default=None)
    return {
        hour: _metadata(
            settings,
            landed.get(hour, []),
            [one for one in aside if one.feed_hour in (hour, None)],
            with_preview=hour == shown,
        )
        for hour in hours
    }


def _metadata(
    settings: Settings, landed: Sequence[LandedDelivery], aside: Sequence[SetAside], *, with_preview: bool
) -> Metadata:
    metadata: dict[str, dg.MetadataValue] = {
        "new_deliveries": dg.MetadataValue.int(len(landed)),
        "dagster/row_count": dg.MetadataValue.int(sum(delivery.records for delivery in landed)),
        "bytes": dg.MetadataValue.int(sum(delivery.bytes for delivery in landed)),
    }
    if aside:
        metadata["set_aside"] = dg.MetadataValue.text("\n".join(visible(one.sentence) for one in aside[:_MOST_SHOWN]))
    if landed:
        store, name = raw_lake(settings).store, landed[-1].raw_path
        metadata["sha256"] = dg.MetadataValue.text(", ".join(delivery.sha256 for delivery in landed[-_MOST_SHOWN:]))
        metadata["path"] = dg.MetadataValue.path(store.shown(name))
        if with_preview:
            metadata["preview"] = dg.MetadataValue.md(preview(store, name))
    return metadata
