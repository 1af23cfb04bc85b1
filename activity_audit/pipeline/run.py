"""The pipeline itself, free of Dagster: land, then stage, check and publish as one step under one lock.

`orchestration.assets` puts these functions into assets; tests and scripts may call them directly.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from activity_audit.base import acknowledgements, catalogue
from activity_audit.base.hours import aware, naive, now_utc
from activity_audit.base.masking import masked_errors
from activity_audit.dbt_runner import column_lineage, project
from activity_audit.ingest.landing import LandingReport, land, open_index
from activity_audit.ingest.planning import own_spool, source_of
from activity_audit.ingest.set_aside import SetAsides, culprit
from activity_audit.ingest.sources.file_systems import uri_of
from activity_audit.ingest.sources.source import Source, SourceError
from activity_audit.ledger import digests, head, ledger
from activity_audit.ledger.adoption import adopt
from activity_audit.ledger.deleted import deleted_deliveries
from activity_audit.publish import data_docs, publish
from activity_audit.settings.core import Settings
from activity_audit.transform import scratch, staging
from activity_audit.transform.scratch import Batch, Workbench
from activity_audit.warehouse import known_ids, lake, observed_names
from activity_audit.warehouse.run_lock import Progress, WarehouseBusyError, exclusive
from activity_audit.warehouse.tables import create_tables
from activity_audit.warehouse.transactions import snapshot_now

if TYPE_CHECKING:
    import duckdb

    from expectations.results import ExpectationResult

Window = tuple[datetime, datetime]
_COUNTS = ("received", "accepted", "duplicate", "quarantined", "offset_normalised", "late")


class ChecksFailedError(RuntimeError):
    """A blocking check failed: nothing of the run is published, readers see the last good state."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        failed = [result for result in outcome.checks if result.blocking and not result.success]
        super().__init__(
            "nothing was published, because blocking checks failed: "
            + "; ".join(f"{result.title} ({result.unexpected_count} rows, e.g. {result.sample})" for result in failed)
        )


@dataclass
class Outcome:
    """What one run did."""

    run_id: str
    published: bool
    checks: list[ExpectationResult] = field(default_factory=list)
    by_hour: dict[datetime, dict[str, int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def of_hour(self, hour: datetime) -> dict[str, int]:
        """The counts of the deliveries of a feed hour (aware, UTC) that the run published, such as `received`."""
        return self.by_hour.get(hour) or dict.fromkeys(_COUNTS, 0)

    @property
    def totals(self) -> dict[str, int]:
        """The counts over all deliveries that the run published."""
        return {name: sum(counts[name] for counts in self.by_hour.values()) for name in _COUNTS}


@masked_errors(SourceError)
def land_feeds(
    settings: Settings,
    feeds: Collection[str],
    window: Window,
    on_progress: Callable[[int, int], None] | None = None,
) -> LandingReport:
    """Bring what these feeds offer for the window into the raw lake, and what the product itself has for it."""

    own_uris = f"{uri_of(str(settings.own_feeds_dir))}/"

    def landed(source: Source, feeds: Collection[str], *, is_own: bool = False) -> LandingReport:
        return land(
            source,
            settings.raw_dir,
            feeds=feeds,
            window=window,
            landed_at=now_utc(),
            max_record_bytes=settings.max_record_bytes,
            is_elsewhere=lambda uri: uri.startswith(own_uris) is not is_own,
            limits=settings.limits,
            on_progress=on_progress,
        )

    own = LandingReport()
    if catalogue.OWN_FEED in feeds and settings.own_feeds_dir.is_dir():
        # First, because a source that is out of reach must not hold up what is here.
        spool = own_spool(settings)
        spool.seal(window)
        own = landed(spool.source(), [catalogue.OWN_FEED], is_own=True)
    report = landed(source_of(settings), feeds)
    report.new += own.new
    report.unknown += own.unknown
    report.deferred += own.deferred
    report.source_warnings += own.source_warnings
    report.set_aside += own.set_aside
    return report


@masked_errors(ChecksFailedError, WarehouseBusyError, lake.WarehouseError)
def update_warehouse(
    settings: Settings,
    run_id: str,
    feeds: Collection[str],
    window: Window,
    progress: Progress = lambda _: None,
) -> Outcome:
    """Judge, check and publish what is landed for these feeds and hours and not yet published.

    Raises:
        SeedError: if a row of the acknowledged drift is wrong.
        ChecksFailedError: a blocking check failed; its `outcome` has all results.
        TransformError: dbt failed.
        WarehouseBusyError: another run held the warehouse too long.
        WarehouseError: the warehouse cannot be reached or written, or another home published into it meanwhile.
    """
    acknowledgements.check()
    manifest = project.manifest()
    fault: staging.DataFaultError | None = None
    with exclusive(settings, progress):
        progress("staging")
        with Workbench(settings, run_id).kept() as bench:
            with bench.connect() as connection:
                since, warnings = bring_up_to_date(connection, settings, manifest)
                batch = _batch(connection, settings, run_id, feeds, window)
            before = {one.delivery_id: one for one in batch.set_aside if one.delivery_id}
            suspects = [delivery for delivery in batch.deliveries if delivery.delivery_id in before]
            if not suspects:
                try:
                    outcome = _stage_and_publish(bench, batch, settings, manifest, since, progress)
                    outcome.warnings += warnings
                    return outcome
                except staging.DataFaultError as error:
                    fault = error
        progress("staging in parts")
        batch, culprits = staging.without_culprits(settings, batch, suspects, fault)
        now = now_utc()
        left = [culprit(delivery, reason, now, before.get(delivery.delivery_id)) for delivery, reason in culprits]
        landing = [one for one in batch.set_aside if not one.delivery_id]
        batch = replace(batch, set_aside=[*landing, *left])
        with Workbench(settings, f"{run_id}-rest").kept() as bench:
            outcome = _stage_and_publish(bench, batch, settings, manifest, since, progress)
    aside = {one.delivery_id for one in left}
    SetAsides(settings.raw_dir).update(left, [one for key, one in before.items() if key not in aside])
    outcome.warnings += [*warnings, *(one.sentence for one in left)]
    return outcome


def bring_up_to_date(
    connection: duckdb.DuckDBPyConnection, settings: Settings, manifest: dict[str, Any]
) -> tuple[int | None, list[str]]:
    """Make the warehouse what a run or a replay builds on: the snapshot that it then has, and what was found amiss."""
    create_tables(connection, manifest)
    warnings = known_ids.complete(connection)
    observed_names.complete(connection)
    adopt(connection, settings.raw_dir, naive(now_utc()))
    return snapshot_now(connection), warnings


def _stage_and_publish(
    bench: Workbench,
    batch: Batch,
    settings: Settings,
    manifest: dict[str, Any],
    since: int | None,
    progress: Progress,
) -> Outcome:
    lineage_is_known = column_lineage.is_current()
    staging.stage(bench, batch, settings, keep_manifest=not lineage_is_known)
    with bench.connect() as connection:
        if not lineage_is_known:
            column_lineage.refresh(connection, bench.target_dir / "manifest.json")
        return check_and_publish(connection, settings, manifest, batch.run_id, progress, since=since)


def _batch(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    run_id: str,
    feeds: Collection[str],
    window: Window,
) -> Batch:
    index = open_index(settings.raw_dir)
    published = connection.execute(
        "select delivery_id from audit.quality.feed_delivery where feed_hour_utc >= ? and feed_hour_utc < ?",
        [naive(window[0]), naive(window[1])],
    ).fetchall()
    known = {row[0] for row in published}
    deliveries = [d for d in index.deliveries(feeds, window) if d.delivery_id not in known]
    aside = SetAsides(settings.raw_dir)
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


def check_and_publish(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    manifest: dict[str, Any],
    run_id: str,
    progress: Progress,
    *,
    since: int | None,
    suites: Sequence[str] | None = None,
    stage_entries: Callable[[duckdb.DuckDBPyConnection, datetime], None] = ledger.stage,
    also: Sequence[str] = (),
) -> Outcome:
    """Check what is staged in `work` and publish it as one snapshot; the caller holds the run lock.

    It was staged from the snapshot `since`, of `transactions.snapshot_now`.

    Only these suites are evaluated, or all. `stage_entries` puts the ledger entries to what is staged, at a plain UTC
    time, and the statements of `also` are part of the transaction.

    Raises:
        ChecksFailedError: a blocking check failed; its `outcome` has all results.
        WarehouseError: the warehouse cannot be written, or somebody else published into it since.
    """
    from expectations.runner import SUITES, validate

    progress("checking")
    started = connection.execute("select started_at_utc from work.raw.run_context").fetchall()[0][0]
    checks = validate(
        connection,
        run_id=run_id,
        suites=suites or SUITES,
        record_sha256_sql=digests.STAGED_SHA256,
        event_id_key_sql=known_ids.event_id_key(),
    )
    _keep_results(connection, checks, started)
    outcome = Outcome(run_id, published=False, checks=checks, by_hour=_by_hour(connection))
    if any(result.blocking and not result.success for result in checks):
        publish.publish_failure(connection, manifest, run_id, since)
        data_docs.complete(connection, settings, outcome.warnings.append, run_id)
        raise ChecksFailedError(outcome)
    progress("publishing")
    stage_entries(connection, naive(now_utc()))
    changes = (*also, *known_ids.additions(connection))
    publish.publish(connection, manifest, run_id, {"started_at_utc": started.isoformat()}, since, changes)
    outcome.published = True
    lake.remember(connection, settings)
    if warning := head.keep(connection, settings):
        outcome.warnings.append(warning)
    # Not before: they show what the warehouse has. What a run that is killed here leaves out, the next one puts up.
    data_docs.complete(connection, settings, outcome.warnings.append, run_id)
    return outcome


def _by_hour(connection: duckdb.DuckDBPyConnection) -> dict[datetime, dict[str, int]]:
    sums = ", ".join(f"cast(sum({name}) as bigint)" for name in _COUNTS)
    rows = connection.execute(f"select feed_hour_utc, {sums} from work.quality.feed_delivery group by all").fetchall()
    return {aware(hour): dict(zip(_COUNTS, counts, strict=True)) for hour, *counts in rows}


def _keep_results(
    connection: duckdb.DuckDBPyConnection, checks: Collection[ExpectationResult], validated_at: datetime
) -> None:
    scratch.insert(
        connection,
        "validation_result",
        [
            (r.run_id, validated_at, r.suite, r.expectation, r.title, r.column, r.severity, r.blocking, r.success,
             r.evaluated_count, r.unexpected_count, r.sample, r.docs_link)
            for r in checks
        ],
    )  # fmt: skip
