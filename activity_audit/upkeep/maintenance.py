"""Upkeep: retention, compaction, expiry of old snapshots and runs, removal of files that nothing needs any more.

What the warehouse says is changed by retention alone; and snapshots older than the snapshot retention can no longer
be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import duckdb

from activity_audit.base.hours import naive, now_utc
from activity_audit.dbt_runner import project
from activity_audit.ledger import head
from activity_audit.raw.lake import raw_lake
from activity_audit.serving.follow import follow
from activity_audit.settings.core import Settings
from activity_audit.transform.scratch import Workbench
from activity_audit.upkeep.compaction import compact
from activity_audit.upkeep.retention.caution import clock_doubt, share_doubt
from activity_audit.upkeep.retention.deletion import delete, of_deleted, remove
from activity_audit.upkeep.retention.plan import RetentionPlan, make_plan
from activity_audit.upkeep.retention.report import as_dict
from activity_audit.warehouse import lake, leftovers, tables
from activity_audit.warehouse.contract import published_models
from activity_audit.warehouse.lake_catalog import mend_partition_values, remove_expired
from activity_audit.warehouse.run_lock import exclusive
from activity_audit.warehouse.transactions import snapshot_now

# A reader that began before a file was retired may still read it for this long.
_GRACE = timedelta(hours=1)


@dataclass(frozen=True)
class Allowed:
    """What an upkeep does not do by itself, and a person may ask for.

    To believe the clock although the data is much older, to delete a large part of everything at once, and to remove
    files that no snapshot knows.
    """

    trust_clock: bool = False
    large_deletion: bool = False
    remove_leftovers: bool = False


@dataclass
class Upkeep:
    """What an upkeep did, or would do: retention, and counts by their names. `run_id` is its own.

    `doubts` are sentences that say what was not done, because it may be a mistake.
    """

    run_id: str | None
    retention: RetentionPlan
    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether something stays because it is not as it was recorded, or because it may be a mistake."""
        return bool(self.retention.differing or self.doubts)

    def as_dict(self) -> dict[str, Any]:
        """The upkeep as data, as `--output json` has it."""
        return {
            "run_id": self.run_id,
            "retention": as_dict(self.retention),
            "errors": self.doubts,
            "warnings": self.warnings,
            **self.counts,
        }


def maintain(
    settings: Settings, allowed: Allowed = Allowed(), forget_runs: Callable[[Settings, datetime], int] = lambda *_: 0
) -> Upkeep:
    """Apply retention, compact small files, expire snapshots and runs past theirs, delete files that are retired.

    Where the clock is in doubt, nothing that goes by time is done. The counts are of snapshots before and after, of
    data files before and after, and of runs forgotten: `forget_runs` makes the orchestrator forget those that began
    before a time, and counts them.

    Raises:
        NothingPublishedError: if nothing is published yet.
        WarehouseBusyError: if a run holds the warehouse for too long.
        WarehouseError: if what is past its retention cannot be read.
        OSError: if a raw file cannot be read or removed; the next upkeep tries again.
    """
    lake.require_published(settings)
    done = Upkeep(str(uuid4()), RetentionPlan())
    with exclusive(settings), Workbench(settings, "maintain").connect() as connection:
        now = now_utc()
        snapshots, files = _count(connection, "audit.snapshots()"), _data_files(connection)
        tables.set_options(connection)
        is_believed = _is_believed(connection, settings, allowed, now, done)
        if is_believed:
            _apply_retention(connection, settings, allowed, now, done)
        done.counts["raw files removed"] = _remove_raw_files(connection, settings)
        compact(connection, published_models(project.manifest()), settings)
        if is_believed:
            _expire(connection, settings, now)
            _clean(connection, settings, allowed, now, done)
        remove_expired(connection)
        mend_partition_values(connection)
        done.counts |= {
            "snapshots before": snapshots,
            "snapshots after": _count(connection, "audit.snapshots()"),
            "data files before": files,
            "data files after": _data_files(connection),
        }
    done.warnings += follow(settings)
    done.counts["runs forgotten"] = forget_runs(settings, now - settings.run_history) if is_believed else 0
    return done


def preview(settings: Settings, allowed: Allowed = Allowed()) -> Upkeep:
    """What `maintain` would delete and expire now; nothing at all is changed, and no lock is taken.

    What it would leave because that may be a mistake is in `doubts`, and is listed all the same.

    Raises:
        NothingPublishedError: if nothing is published yet.
    """
    now = now_utc()
    would = Upkeep(None, RetentionPlan())
    with lake.reader(settings) as connection:
        _is_believed(connection, settings, allowed, now, would)
        would.retention = make_plan(connection, settings, now)
        _is_moderate(connection, settings, allowed, would)
        retired = "call ducklake_cleanup_old_files('audit', dry_run => true, older_than => ?)"
        would.counts = {
            "raw files left by an earlier upkeep": len(of_deleted(connection, raw_lake(settings))),
            "snapshots to expire": len(_past_retention(connection, settings, now)),
            "data files to remove": len(connection.execute(retired, [_retired(now)]).fetchall()),
        }
    return would


def _is_believed(
    connection: duckdb.DuckDBPyConnection, settings: Settings, allowed: Allowed, now: datetime, upkeep: Upkeep
) -> bool:
    """Whether what goes by time may go."""
    doubt = None if allowed.trust_clock else clock_doubt(connection, now, settings.max_clock_lead)
    upkeep.doubts += [doubt] if doubt else []
    return doubt is None


def _is_moderate(connection: duckdb.DuckDBPyConnection, settings: Settings, allowed: Allowed, upkeep: Upkeep) -> bool:
    """Whether what is past its retention may go at once."""
    bound = 1 if allowed.large_deletion else settings.retention_max_share
    doubt = share_doubt(connection, upkeep.retention.due, bound)
    upkeep.doubts += [doubt] if doubt else []
    return doubt is None


def _apply_retention(
    connection: duckdb.DuckDBPyConnection, settings: Settings, allowed: Allowed, now: datetime, done: Upkeep
) -> None:
    """Delete what is past its retention from the warehouse."""
    if not settings.retention_rules.deletes:
        return
    done.warnings += tables.bring_up_to_date(connection, project.manifest())
    since = snapshot_now(connection)
    done.retention = make_plan(connection, settings, now)
    if not _is_moderate(connection, settings, allowed, done):
        done.retention.due = []
    if not done.retention.due:
        return
    delete(connection, done.retention.due, str(done.run_id), naive(now), since)
    if warning := head.keep(connection, settings):
        done.warnings.append(warning)


def _remove_raw_files(connection: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """Remove from the raw lake what was ever deleted from the warehouse; how many files."""
    raw = raw_lake(settings)
    files = of_deleted(connection, raw)
    remove(files, raw)
    return len(files)


def _expire(connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> None:
    if expired := _past_retention(connection, settings, now):
        connection.execute("call ducklake_expire_snapshots('audit', versions => ?)", [expired])


def _clean(
    connection: duckdb.DuckDBPyConnection, settings: Settings, allowed: Allowed, now: datetime, done: Upkeep
) -> None:
    """Remove the data files that the catalog has retired, and where that is asked for those that it never knew."""
    data_path = lake.location(settings).data_path
    found = leftovers.find(connection, data_path, now - _GRACE)
    if found.foreign:
        done.warnings.append(
            f"{len(found.foreign)} files in {data_path} do not belong to this warehouse, the first is "
            f"{found.foreign[0]}; they stay there: move them away"
        )
    if allowed.remove_leftovers:
        leftovers.give_up(connection, found.own)
    elif found.own:
        done.warnings.append(
            f"{len(found.own)} data files belong to no snapshot, the first is {found.own[0]}: killed runs "
            "leave such files; `audit maintain --remove-leftovers` removes them"
        )
    done.counts["leftover data files"] = len(found.own)
    if strange := leftovers.strange(connection):
        done.warnings.append(
            f"the catalog lists {strange[0]} for removal, which is not a data file of this warehouse, so "
            "nothing was removed; somebody changed the catalog"
        )
        return
    connection.execute("call ducklake_cleanup_old_files('audit', older_than => ?)", [_retired(now)])


def _count(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    row = connection.execute(f"select count(*) from {what}").fetchone()
    return row[0] if row else 0


def _data_files(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("select coalesce(sum(file_count), 0) from ducklake_table_info('audit')").fetchone()
    return int(row[0]) if row else 0


def _past_retention(connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> list[int]:
    """The numbers of the snapshots to expire: not of one that was the newest within the grace, as readers have it."""
    query = """
        with snapshot as (
            select *, lead(snapshot_time) over (order by snapshot_id) as replaced_at from audit.snapshots()
        )
        select snapshot_id from snapshot where snapshot_time <= ? and replaced_at < ? order by all
    """
    times = [_day_before(now - settings.snapshot_retention), now - _GRACE]
    return [number for (number,) in connection.execute(query, times).fetchall()]


def _retired(now: datetime) -> datetime:
    return _day_before(now - _GRACE)


def _day_before(moment: datetime) -> datetime:
    """The end of the UTC day before the one that `moment` is in.

    With a SQLite catalog DuckLake compares its times as text, in which a later time of the same day passes for an
    earlier one. At the end of a day the text and the time agree.
    """
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(microseconds=1)
