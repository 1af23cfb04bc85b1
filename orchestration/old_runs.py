"""Dagster's records of runs that are old, and what it leaves of runs that are forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from activity_audit.base.hours import naive
from activity_audit.settings.core import Settings
from orchestration.instance import instance

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.storage.event_log import SqlEventLogStorage

# An old run has its configuration and tags in memory while it is removed.
_RUNS_AT_A_TIME = 100


def forget_old_runs(settings: Settings, before: datetime) -> int:
    """Remove finished runs that were created before that time (aware), with their events and output; how many."""
    import dagster as dg
    from dagster._core.storage.dagster_run import FINISHED_STATUSES
    from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage

    with instance(settings) as opened:
        finished = dg.RunsFilter(statuses=list(FINISHED_STATUSES), created_before=before)
        storage = opened.event_log_storage
        forgotten = 0
        # The first upkeep of a long history has very many to forget.
        while old := opened.get_runs(finished, limit=_RUNS_AT_A_TIME):
            for run in old:
                opened.delete_run(run.run_id)
                opened.compute_log_manager.delete_logs(prefix=[run.run_id])
                if isinstance(storage, SqliteEventLogStorage):
                    # Dagster empties the database of a run and leaves its file.
                    Path(storage.path_for_shard(run.run_id)).unlink(missing_ok=True)
            forgotten += len(old)
        if isinstance(storage, SqlEventLogStorage):
            _forget_checks(opened, storage, before)
    return forgotten


def _forget_checks(opened: dg.DagsterInstance, storage: SqlEventLogStorage, before: datetime) -> None:
    """Remove the evaluations of checks before that time whose run is forgotten: Dagster keeps them for ever."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable as Checks
    from sqlalchemy import select

    known = set(opened.get_run_ids())
    is_old = Checks.c.create_timestamp < naive(before)
    with storage.index_connection() as connection:
        of_runs = {run_id for (run_id,) in connection.execute(select(Checks.c.run_id).where(is_old).distinct())}
        for some in _parts(sorted(of_runs - known)):
            connection.execute(Checks.delete().where(is_old & Checks.c.run_id.in_(some)))


def _parts(run_ids: Sequence[str]) -> list[Sequence[str]]:
    return [run_ids[start : start + _RUNS_AT_A_TIME] for start in range(0, len(run_ids), _RUNS_AT_A_TIME)]
