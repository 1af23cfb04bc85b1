"""A run whose steps are done in processes that somebody else starts, of this machine or of others: planned, published.

Between the two `activity_audit.transform.steps` are called, in any process: `parse` for each part, `meet`, and `judge`
for each part. Nobody holds the run lock meanwhile. That what others publish is not overlooked is up to the transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from activity_audit.base.call_stack import with_room
from activity_audit.base.hours import now_utc
from activity_audit.base.masking import masked_errors
from activity_audit.pipeline import stages
from activity_audit.pipeline.distributed import Spread
from activity_audit.pipeline.run import Window, batch_of, require_unpublished, stage_and_publish, update_warehouse
from activity_audit.pipeline.stages import ChecksFailedError, Outcome
from activity_audit.settings.core import Settings
from activity_audit.transform import parts, steps
from activity_audit.transform.exchange import Exchange, sweep
from activity_audit.transform.scratch import Workbench
from activity_audit.warehouse import lake
from activity_audit.warehouse.run_lock import OnStage, WarehouseBusyError

# No run takes so long; what is older is of one that failed.
_KEPT = timedelta(days=2)


def exchange_of(settings: Settings, run_id: str) -> Exchange:
    """The exchange of a run."""
    return Exchange(f"{settings.exchange_root}/{run_id}")


@masked_errors(WarehouseBusyError, lake.WarehouseError)
def plan(settings: Settings, run_id: str, feeds: Collection[str], window: Window) -> int:
    """Bring the warehouse up to date, and write down what is to be done; of how many parts.

    There are none where one process is quicker.

    Raises:
        WarehouseBusyError: another run of this home held the warehouse too long.
        WarehouseError: the warehouse cannot be reached or written.
    """
    sweep(settings.exchange_root, now_utc() - _KEPT)
    with (
        stages.begin(settings, run_id, lambda _: None) as run,
        Workbench(settings, run_id).kept() as bench,
        bench.connect() as connection,
    ):
        run.bring_up_to_date(bench, connection)
        batch = batch_of(connection, settings, run_id, feeds, window)
        if any(one.delivery_id for one in batch.set_aside) or not parts.are_enough(batch.deliveries):
            return 0
        exchange = exchange_of(settings, run_id)
        steps.plan(settings, exchange, batch, connection)
        return exchange.plan().parts


@masked_errors(ChecksFailedError, WarehouseBusyError, lake.WarehouseError)
@with_room
def publish(settings: Settings, run_id: str, met: str, progress: OnStage = lambda _: None) -> Outcome:
    """Check and publish what was judged by `met`. If others published meanwhile, it is judged once more, here.

    Raises:
        ChecksFailedError: a blocking check failed; its `outcome` has all results.
        TransformError: dbt failed.
        WarehouseBusyError: another run of this home held the warehouse too long.
        WarehouseError: the warehouse cannot be reached or written, or others have published what this run has.
    """
    exchange = exchange_of(settings, run_id)
    try:
        outcome = _publish(settings, run_id, exchange, met, progress)
    except Exception:
        if exchange.is_there():
            raise
        raise lake.WarehouseError(
            f"what the steps of the run {run_id} handed on is gone from {settings.exchange_root}: the run is published "
            "already, or it was planned too long ago"
        ) from None
    exchange.remove()
    return outcome


def publish_without_parts(settings: Settings, run_id: str, progress: OnStage = lambda _: None) -> Outcome:
    """Do all of a run in this process, which finds a delivery that breaks it, and sets that aside.

    For errors see `update_warehouse`.
    """
    exchange = exchange_of(settings, run_id)
    batch = exchange.batch()
    alone = settings.model_copy(update={"workers": 1})
    outcome = update_warehouse(alone, run_id, batch.feeds, (batch.start, batch.end), progress)
    exchange.remove()
    return outcome


def _publish(settings: Settings, run_id: str, exchange: Exchange, met: str, progress: OnStage) -> Outcome:
    batch = exchange.batch()
    with stages.begin(settings, run_id, progress) as run, Workbench(settings, run_id).kept() as bench:
        with bench.connect() as connection:
            run.bring_up_to_date(bench, connection)
            require_unpublished(connection, batch)
        run.spread = Spread(settings, batch, exchange, met)
        return stage_and_publish(run, bench, batch)
