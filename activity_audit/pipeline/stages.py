"""The stages that a run and a replay have in common, under one lock: bring up to date, stage, check, publish.

`run.py` and `replay.py` say which records go through them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb

from activity_audit.base import acknowledgements
from activity_audit.base.hours import aware, naive, now_utc
from activity_audit.base.vocabulary import COUNTS, FACT_NAME
from activity_audit.dbt_runner import column_lineage, project
from activity_audit.ledger import digests, head, ledger
from activity_audit.ledger.adoption import adopt
from activity_audit.pipeline.distributed import Spread
from activity_audit.pipeline.notes import timed_run
from activity_audit.publish import data_docs, publish
from activity_audit.raw.lake import raw_lake
from activity_audit.serving.follow import follow
from activity_audit.settings.core import Settings
from activity_audit.transform import parts, staging, threads
from activity_audit.transform.built import Built, describe
from activity_audit.transform.exchange import Exchange
from activity_audit.transform.scratch import Batch, Workbench
from activity_audit.upkeep.migrations import migrate
from activity_audit.warehouse import arrow_rows, home_version, known_ids, lake_writer, tables
from activity_audit.warehouse.fact_files import FactFile, WorkersFileError
from activity_audit.warehouse.run_lock import OnStage, exclusive
from activity_audit.warehouse.transactions import NotPublishedError, PublishedMeanwhileError, snapshot_now

if TYPE_CHECKING:
    from expectations.results import ExpectationResult


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
    """What one run did; `built` has the seeds and models of dbt by their unique ids."""

    run_id: str
    published: bool
    checks: list[ExpectationResult] = field(default_factory=list)
    by_hour: dict[datetime, dict[str, int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    built: dict[str, Built] = field(default_factory=dict)

    def of_hour(self, hour: datetime) -> dict[str, int]:
        """The counts of the deliveries of a feed hour (aware, UTC) that the run published, such as `received`."""
        return self.by_hour.get(hour) or dict.fromkeys(COUNTS, 0)

    @property
    def totals(self) -> dict[str, int]:
        """The counts over all deliveries that the run published."""
        return {name: sum(counts[name] for counts in self.by_hour.values()) for name in COUNTS}


@dataclass
class Stages:
    """The stages of one run or replay, to be called in their order; `begin` makes one, under the run lock."""

    settings: Settings
    run_id: str
    progress: OnStage
    manifest: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    # The snapshot that all is staged from.
    since: int | None = None
    # What was published, once it is.
    outcome: Outcome | None = None
    # How long dbt took for each seed and model, by its unique id.
    seconds: dict[str, float] = field(default_factory=dict)
    # The batch, if workers stage it, and the data files that they wrote of tables.
    spread: Spread | None = None
    written: dict[str, list[FactFile]] = field(default_factory=dict)

    def bring_up_to_date(self, bench: Workbench, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the warehouse what can be built on: its tables, its known ids and names, and its ledger."""
        threads.fit(connection)
        migrate(connection, self.settings)
        self.warnings += tables.bring_up_to_date(connection, self.manifest, bench.known_ids)
        adopt(connection, raw_lake(self.settings).store, naive(now_utc()))
        self.since = snapshot_now(connection)

    def stage(
        self,
        bench: Workbench,
        batch: Batch,
        check_inputs: Callable[[duckdb.DuckDBPyConnection], None] = lambda _: None,
    ) -> None:
        """Make the batch's inputs, have them looked at, and build every model of them.

        Raises:
            DataFaultError: it fails, and a delivery may be the cause.
            TransformError: dbt fails for another reason.
            WarehouseError: a raw file is gone.
            WorkerError: a worker dies, and again when its part is done once more.
        """
        is_spread = self.spread is not None and self.spread.batch is batch
        if is_spread or parts.are_worth_it(batch.deliveries, self.settings.workers):
            self._stage_by_workers(bench, batch, check_inputs)
            return
        lineage_is_known = column_lineage.is_current()
        self.seconds = staging.stage(
            bench, batch, self.settings, keep_manifest=not lineage_is_known, check_inputs=check_inputs
        )
        if not lineage_is_known:
            with bench.connect() as connection:
                column_lineage.refresh(connection, bench.target_dir / "manifest.json")

    def _stage_by_workers(
        self, bench: Workbench, batch: Batch, check_inputs: Callable[[duckdb.DuckDBPyConnection], None]
    ) -> None:
        if self.spread is None or self.spread.batch is not batch:
            self.spread = Spread(self.settings, batch, Exchange(bench.path.with_suffix(".exchange")))
        staged = self.spread.stage(bench, check_inputs)
        self.seconds = staged.seconds
        # Whoever published after either of them was not seen by both.
        self.since = staged.since if self.since is None or staged.since is None else min(self.since, staged.since)
        self.written = {FACT_NAME: staged.facts}

    def check_and_publish(
        self,
        connection: duckdb.DuckDBPyConnection,
        *,
        suites: Sequence[str] | None = None,
        stage_entries: Callable[[duckdb.DuckDBPyConnection, datetime], None] = ledger.stage,
        also: Sequence[str] = (),
    ) -> Outcome:
        """Check what is staged in `work` and publish it as one snapshot.

        Only these suites are evaluated, or all. `stage_entries` puts the ledger entries to what is staged, at a plain
        UTC time, and the statements of `also` are part of the transaction.

        Raises:
            ChecksFailedError: a blocking check failed; its `outcome` has all results.
            WarehouseError: the warehouse cannot be written, or somebody else published into it since.
        """
        from expectations.runner import SUITES, validate

        self.progress("checking")
        started = connection.execute("select started_at_utc from work.raw.run_context").fetchall()[0][0]
        checks = validate(
            connection,
            run_id=self.run_id,
            suites=suites or SUITES,
            record_sha256_sql=digests.STAGED_SHA256,
            event_id_key_sql=known_ids.event_id_key(),
        )
        _keep_results(connection, checks, started)
        outcome = Outcome(self.run_id, published=False, checks=checks, by_hour=_by_hour(connection))
        outcome.warnings += self.warnings
        outcome.built = describe(connection, self.manifest, self.seconds)
        if any(result.blocking and not result.success for result in checks):
            self._discard()
            publish.publish_failure(connection, self.manifest, self.run_id, self.since)
            data_docs.complete(connection, self.settings, outcome.warnings.append, self.run_id)
            raise ChecksFailedError(outcome)
        self.progress("publishing")
        stage_entries(connection, naive(now_utc()))
        changes = (*also, *known_ids.additions(connection))
        about = {"started_at_utc": started.isoformat()}
        try:
            publish.publish(connection, self.manifest, self.run_id, about, self.since, changes, self.written)
        except (PublishedMeanwhileError, NotPublishedError, WorkersFileError):
            self._discard()
            raise
        outcome.published = True
        self.outcome = outcome
        if self.spread:
            self.spread.discard_doubles(self.written.get(FACT_NAME, ()))
        lake_writer.remember(connection, self.settings, home_version.VERSION)
        if warning := head.keep(connection, self.settings):
            outcome.warnings.append(warning)
        # Not before: they show what the warehouse has. What a killed run leaves out here, the next one puts up.
        data_docs.complete(connection, self.settings, outcome.warnings.append, self.run_id)
        return outcome

    def _discard(self) -> None:
        if self.spread:
            self.spread.discard()


@contextmanager
def begin(settings: Settings, run_id: str, progress: OnStage) -> Iterator[Stages]:
    """Hold the run lock for the block, and begin a run or a replay; at its end AUDIT_PUBLISH_TO follows.

    Raises:
        SeedError: if a row of the acknowledged drift is wrong.
        WarehouseBusyError: if another run held the warehouse too long.
    """
    acknowledgements.check()
    manifest = project.manifest()
    with timed_run(settings, run_id, progress) as timed:
        with exclusive(settings, timed.stage):
            timed.stage("staging")
            stages = Stages(settings, run_id, timed.stage, manifest)
            try:
                yield stages
            except ChecksFailedError:
                timed.outcome = "blocked"
                raise
        timed.outcome = "published" if stages.outcome else None
    # The next run need not wait for that.
    if stages.outcome and settings.publish_to:
        stages.outcome.warnings += follow(settings)


def _by_hour(connection: duckdb.DuckDBPyConnection) -> dict[datetime, dict[str, int]]:
    sums = ", ".join(f"cast(sum({name}) as bigint)" for name in COUNTS)
    rows = connection.execute(f"select feed_hour_utc, {sums} from work.quality.feed_delivery group by all").fetchall()
    return {aware(hour): dict(zip(COUNTS, counts, strict=True)) for hour, *counts in rows}


def _keep_results(
    connection: duckdb.DuckDBPyConnection, checks: Collection[ExpectationResult], validated_at: datetime
) -> None:
    arrow_rows.insert(
        connection,
        "work.quality.validation_result",
        [
            (r.run_id, validated_at, r.suite, r.expectation, r.title, r.column, r.severity, r.blocking, r.success,
             r.evaluated_count, r.unexpected_count, r.sample, r.docs_link)
            for r in checks
        ],
    )  # fmt: skip
