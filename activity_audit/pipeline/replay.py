"""A replay: the records in quarantine are judged again, with the settings, the catalogue and the release of now.

It is a run like any other (stage, check, publish as one snapshot, under the same lock) over records that are
published already. What it looks at is decided here; what becomes of a record, by the models that judge every record.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import duckdb

from activity_audit.base.call_stack import with_room
from activity_audit.base.hours import HOUR, aware, floor_hour, now_utc
from activity_audit.base.masking import masked_errors
from activity_audit.ledger import replays
from activity_audit.pipeline import stages
from activity_audit.pipeline.replay_report import Report, describe
from activity_audit.publish import publish
from activity_audit.raw.index import LandedDelivery
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from activity_audit.transform.scratch import Batch, Workbench
from activity_audit.transform.staging import DataFaultError
from activity_audit.warehouse import lake
from activity_audit.warehouse.quarantine import CUT_OFF, unresolved
from activity_audit.warehouse.run_lock import OnStage, WarehouseBusyError

_SELECTED = "work.main.selected"
# What a resolved record says of itself; everything else of its row stays as it was.
_RESOLVE = """
    update audit.quality.quarantined_event set resolved_at_utc = replayed.replayed_at_utc
    from work.quality.replayed_record as replayed
    where quarantined_event.delivery_id = replayed.delivery_id
        and quarantined_event.source_record = replayed.source_record and replayed.disposition <> 'quarantined'
"""


class ReplayError(RuntimeError):
    """Records cannot be judged again as they stand; the message says what is in the way, and what to do."""


@masked_errors(stages.ChecksFailedError, WarehouseBusyError, lake.WarehouseError)
@with_room
def replay(
    settings: Settings,
    run_id: str,
    reason: str | None = None,
    feed: str | None = None,
    progress: OnStage = lambda _: None,
) -> Report:
    """Judge the records in quarantine again that `feed` (slug) delivered and `reason` holds against; None: all.

    What is judged otherwise than before is published as one snapshot, and so is a changed catalogue. Where nothing
    changes, nothing is published.

    Raises:
        NothingPublishedError: if no run has published anything yet.
        ReplayError: if the raw lake has not, or not unchanged, what is to be judged.
        SeedError: if a row of the acknowledged drift is wrong.
        ChecksFailedError: a blocking check failed, so that nothing is published; its `outcome` has all results.
        TransformError: dbt failed.
        WarehouseBusyError: a run held the warehouse too long.
        WarehouseError: the warehouse cannot be reached or written, or another home published into it meanwhile.
    """
    lake.require_published(settings)
    with stages.begin(settings, run_id, progress) as run, Workbench(settings, run_id).kept() as bench:
        with bench.connect() as connection:
            run.bring_up_to_date(bench, connection)
            batch, cut_off = _batch(connection, settings, run_id, reason, feed)
        try:
            run.stage(bench, batch, _require_unchanged)
        except DataFaultError as error:
            raise error.cause from None
        with bench.connect() as connection:
            report = describe(connection, reason, feed, cut_off)
            report.tables = publish.pending(connection, run.manifest)
            if report.accepted or report.duplicate:
                report.tables = sorted([*report.tables, "quality.quarantined_event"])
            if not report.tables:
                return report
            # What the sources sent was judged when they sent it.
            outcome = run.check_and_publish(
                connection, suites=("conformance",), stage_entries=replays.stage, also=(_RESOLVE,)
            )
            report.run_id, report.warnings = run_id, outcome.warnings
            return report


def _batch(
    connection: duckdb.DuckDBPyConnection, settings: Settings, run_id: str, reason: str | None, feed: str | None
) -> tuple[Batch, int]:
    """What the replay judges again, and how many records it leaves out, because only their beginning is kept."""
    chosen = ["true"]
    chosen += ["list_contains(reasons, $reason)"] if reason else []
    chosen += ["feed = $feed"] if feed else []
    arguments = {name: value for name, value in (("reason", reason), ("feed", feed)) if value}
    connection.execute(
        f"create table {_SELECTED} as select delivery_id, source_record, revision, reasons "
        f"from ({unresolved(connection)}) where {' and '.join(chosen)}",
        arguments,
    )
    judgeable = f"from {_SELECTED} where not list_contains(reasons, '{CUT_OFF}')"
    deliveries = _deliveries(connection, judgeable)
    store = raw_lake(settings).store
    gone = store.missing([delivery.raw_path for delivery in deliveries])
    _refuse([store.shown(name) for name in gone], "are gone")
    now = now_utc()
    hours = [delivery.feed_hour for delivery in deliveries]
    batch = Batch(
        run_id=run_id,
        started_at=now,
        start=min(hours, default=floor_hour(now)),
        end=max(hours) + HOUR if hours else floor_hour(now),
        # A replay looks at no source, so it has no feed hours to reconcile, nor manifests.
        feeds=(),
        deliveries=deliveries,
        manifests=(),
        replayed=f"select delivery_id, source_record, revision + 1, reasons {judgeable}",
    )
    cut_off = f"select count(*) from {_SELECTED} where list_contains(reasons, '{CUT_OFF}')"
    return batch, connection.execute(cut_off).fetchall()[0][0]


def _require_unchanged(connection: duckdb.DuckDBPyConnection) -> None:
    changed = connection.execute(
        "select raw.raw_path from work.raw.delivery as raw inner join audit.quality.feed_delivery as published "
        "using (delivery_id) where raw.raw_sha256 is distinct from published.raw_sha256 order by all"
    ).fetchall()
    _refuse([path for (path,) in changed], "are not what they were when they were published")


def _deliveries(connection: duckdb.DuckDBPyConnection, judgeable: str) -> list[LandedDelivery]:
    """The published deliveries of these records, each with the number of those records."""
    rows = connection.execute(
        f"""
        select
            delivery_id, feed, feed_hour_utc, name, source_uri, sha256, bytes, selected.records, landed_at_utc
        from audit.quality.feed_delivery
        right join (select delivery_id, count(*) as records {judgeable} group by all) as selected using (delivery_id)
        order by feed_hour_utc, feed, name, delivery_id
        """
    ).fetchall()
    unknown = [row[0] for row in rows if row[1] is None]
    if unknown:
        raise ReplayError(
            f"{len(unknown)} deliveries of quarantined records are not in quality.feed_delivery, the first "
            f"is {unknown[0]}; `audit verify` lists what else is missing"
        )
    return [_landed(*row) for row in rows]


def _landed(
    delivery_id: str, feed: str, hour: datetime, name: str, uri: str, sha256: str, size: int, records: int, at: datetime
) -> LandedDelivery:
    return LandedDelivery(delivery_id, feed, aware(hour), name, uri, sha256, size, records, aware(at))


def _refuse(paths: Sequence[str], what: str) -> None:
    if paths:
        raise ReplayError(
            f"{len(paths)} raw files that the replay needs {what}, the first is {paths[0]}; restore them from a "
            "backup, or leave their records out with --feed or --reason"
        )
