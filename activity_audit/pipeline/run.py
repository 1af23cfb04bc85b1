"""A run, free of Dagster: land, then stage, check and publish as one step under one lock.

`orchestration.assets` puts these functions into assets; tests and scripts may call them directly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

import duckdb

from activity_audit.base import catalogue
from activity_audit.base.call_stack import with_room
from activity_audit.base.hours import interval, iso, naive, now_utc
from activity_audit.base.json_log import about
from activity_audit.base.masking import masked_errors
from activity_audit.ingest.landing import LandingReport, land, open_index
from activity_audit.ingest.misplaced import refuse_misplaced
from activity_audit.ingest.planning import own_journal, source_of
from activity_audit.ingest.set_aside import SetAsides, culprit
from activity_audit.ingest.sources.file_systems import uri_of
from activity_audit.ingest.sources.source import Source, SourceError
from activity_audit.ledger.ledger import deleted_deliveries
from activity_audit.pipeline import stages
from activity_audit.pipeline.notes import timed_landing
from activity_audit.pipeline.stages import ChecksFailedError, Outcome, Stages
from activity_audit.raw.lake import raw_lake
from activity_audit.raw.notes import MOVED
from activity_audit.settings.core import Settings
from activity_audit.transform import staging
from activity_audit.transform.scratch import Batch, Workbench
from activity_audit.warehouse import lake
from activity_audit.warehouse.lake_location import why_unfinished
from activity_audit.warehouse.run_lock import OnStage, WarehouseBusyError
from activity_audit.warehouse.transactions import PublishedMeanwhileError

Window = tuple[datetime, datetime]
_log = logging.getLogger(__name__)
# How often a run that workers stage is judged and published, where others publish in the meantime.
_TRIES = 3


@masked_errors(SourceError)
def land_feeds(
    settings: Settings,
    feeds: Collection[str],
    window: Window,
    on_progress: Callable[[int, int], None] | None = None,
) -> LandingReport:
    """Bring what these feeds offer for the window into the raw lake, and what the product itself has for it.

    Raises:
        SourceError: if the source cannot be listed.
        WarehouseError: if the raw lake was moved elsewhere, or is not where AUDIT_RAW_PATH says.
    """

    if unfinished := why_unfinished(settings):
        raise lake.WarehouseError(unfinished)
    raw = raw_lake(settings)
    if moved := raw.notes.read(MOVED):
        raise lake.WarehouseError(
            f"the raw lake in {raw.store.shown('')} was moved {moved}; set AUDIT_RAW_PATH to where it is now"
        )
    refuse_misplaced(settings, raw)
    own_uris = f"{uri_of(str(settings.own_feeds_dir))}/"

    def landed(source: Source, feeds: Collection[str], *, is_own: bool = False) -> LandingReport:
        return land(
            source,
            raw,
            feeds=feeds,
            window=window,
            landed_at=now_utc(),
            max_record_bytes=settings.max_record_bytes,
            is_elsewhere=lambda uri: uri.startswith(own_uris) is not is_own,
            limits=settings.limits,
            on_progress=on_progress,
        )

    own = LandingReport()
    with timed_landing(settings):
        if catalogue.OWN_FEED in feeds and settings.own_feeds_dir.is_dir():
            # First, because a source that is out of reach must not hold up what is here.
            journal = own_journal(settings)
            journal.seal(window)
            own = landed(journal.source(), [catalogue.OWN_FEED], is_own=True)
        report = landed(source_of(settings), feeds)
    report.new += own.new
    report.unknown += own.unknown
    report.deferred += own.deferred
    report.source_warnings += own.source_warnings
    report.set_aside += own.set_aside
    for delivery in report.new:
        with about(feed=delivery.feed, hour=iso(delivery.feed_hour)):
            _log.info("landed %s: %d records, %d bytes", delivery.name, delivery.records, delivery.bytes)
    return report


@masked_errors(ChecksFailedError, WarehouseBusyError, lake.WarehouseError)
@with_room
def update_warehouse(
    settings: Settings,
    run_id: str,
    feeds: Collection[str],
    window: Window,
    progress: OnStage = lambda _: None,
) -> Outcome:
    """Judge, check and publish what is landed for these feeds and hours and not yet published.

    Raises:
        SeedError: if a row of the acknowledged drift is wrong.
        ChecksFailedError: a blocking check failed; its `outcome` has all results.
        TransformError: dbt failed.
        WarehouseBusyError: another run held the warehouse too long.
        WarehouseError: the warehouse cannot be reached or written, or another home published into it meanwhile.
    """
    fault: staging.DataFaultError | None = None
    with about(run_id=run_id, hour=interval(*window)), stages.begin(settings, run_id, progress) as run:
        with Workbench(settings, run_id).kept() as bench:
            with bench.connect() as connection:
                run.bring_up_to_date(bench, connection)
                batch = batch_of(connection, settings, run_id, feeds, window)
            before = {one.delivery_id: one for one in batch.set_aside if one.delivery_id}
            suspects = [delivery for delivery in batch.deliveries if delivery.delivery_id in before]
            if not suspects:
                try:
                    return stage_and_publish(run, bench, batch)
                except staging.DataFaultError as error:
                    fault = error
        progress("staging in parts")
        batch, culprits = staging.without_culprits(settings, batch, suspects, fault)
        now = now_utc()
        left = [culprit(delivery, reason, now, before.get(delivery.delivery_id)) for delivery, reason in culprits]
        landing = [one for one in batch.set_aside if not one.delivery_id]
        batch = replace(batch, set_aside=[*landing, *left])
        with Workbench(settings, f"{run_id}-rest").kept() as bench:
            outcome = stage_and_publish(run, bench, batch)
    aside = {one.delivery_id for one in left}
    SetAsides(raw_lake(settings)).update(left, [one for key, one in before.items() if key not in aside])
    outcome.warnings += [one.sentence for one in left]
    return outcome


def stage_and_publish(run: Stages, bench: Workbench, batch: Batch, tries: int = _TRIES) -> Outcome:
    """Stage, check and publish a batch; what workers parsed is judged again where others publish meanwhile."""
    run.stage(bench, batch)
    try:
        with bench.connect() as connection:
            return run.check_and_publish(connection)
    except PublishedMeanwhileError:
        # What is parsed does not depend on what is published.
        if not run.spread or tries == 1:
            raise
    with Workbench(run.settings, f"{bench.path.stem}-again").kept() as again:
        with again.connect() as connection:
            run.bring_up_to_date(again, connection)
            require_unpublished(connection, batch)
        return stage_and_publish(run, again, batch, tries - 1)


def require_unpublished(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Refuse a batch of which somebody has published a delivery.

    Raises:
        PublishedMeanwhileError: somebody has.
    """
    if _published(connection, (batch.start, batch.end)) & {one.delivery_id for one in batch.deliveries}:
        raise PublishedMeanwhileError


def _published(connection: duckdb.DuckDBPyConnection, window: Window) -> set[str]:
    """The ids of the deliveries of the window that are published."""
    rows = connection.execute(
        "select delivery_id from audit.quality.feed_delivery where feed_hour_utc >= ? and feed_hour_utc < ?",
        [naive(window[0]), naive(window[1])],
    ).fetchall()
    return {row[0] for row in rows}


def batch_of(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    run_id: str,
    feeds: Collection[str],
    window: Window,
) -> Batch:
    """What is landed for these feeds and hours and not yet published."""
    raw = raw_lake(settings)
    index = open_index(raw)
    known = _published(connection, window)
    deliveries = [d for d in index.deliveries(feeds, window) if d.delivery_id not in known]
    aside = SetAsides(raw)
    # A run that was killed may have published what it could not note any more.
    aside.update((), [one for one in aside.all(feeds, window) if one.delivery_id in known])
    read_again = {d.feed_hour for d in deliveries if d.is_reading}
    # A reading is told by what it lacks, and that another feed may have.
    in_hours = index.deliveries(catalogue.slugs(), window) if read_again else []
    deleted = deleted_deliveries(connection, window) if read_again else set()
    return Batch(
        run_id=run_id,
        started_at=now_utc(),
        start=window[0],
        end=window[1],
        feeds=sorted(feeds),
        deliveries=deliveries,
        manifests=index.manifests(feeds, window),
        readings=[d for d in in_hours if d.is_reading and d.feed_hour in read_again and d.delivery_id not in deleted],
        set_aside=aside.all(feeds, window),
    )
