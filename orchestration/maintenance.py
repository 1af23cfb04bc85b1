"""Upkeep: retention, compaction, expiry of old snapshots and runs, removal of files that nothing refers to.

What the warehouse says is changed by retention alone; and snapshots older than the snapshot retention can no longer
be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orchestration import dagster_instance, known_ids, lake, publish, transform
from orchestration.compaction import compact
from orchestration.contract import published_models
from orchestration.hours import naive, now_utc
from orchestration.inlined_rows import remove_expired
from orchestration.integrity import head
from orchestration.pipeline import exclusive
from orchestration.retention.deletion import delete
from orchestration.retention.plan import RetentionPlan, make_plan
from orchestration.retention.raw_removal import leftovers, remove
from orchestration.retention.report import as_dict
from orchestration.settings import Settings
from orchestration.transactions import snapshot_now
from orchestration.workbench import Workbench

if TYPE_CHECKING:
    import duckdb

# A reader that began before a file was retired may still read it for this long.
_GRACE = timedelta(hours=1)


@dataclass
class Upkeep:
    """What an upkeep did, or would do: retention, and counts by their names. `run_id` is its own."""

    run_id: str | None
    retention: RetentionPlan
    counts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """Whether something was not deleted because it is not as it was recorded."""
        return bool(self.retention.differing)

    def as_dict(self) -> dict[str, Any]:
        """The upkeep as data, as `--output json` has it."""
        return {"run_id": self.run_id, "retention": as_dict(self.retention), "warnings": self.warnings, **self.counts}


def maintain(settings: Settings) -> Upkeep:
    """Apply retention, compact small files, expire snapshots past theirs, delete retired and orphaned files.

    The counts are of snapshots before and after, of data files before and after, and of Dagster runs forgotten.

    Raises:
        NothingPublishedError: if nothing is published yet.
        WarehouseBusyError: if a run holds the warehouse for too long.
        WarehouseError: if what is past its retention cannot be read.
        OSError: if a raw file cannot be read or removed; the next upkeep tries again.
    """
    with lake.reader(settings):
        pass
    done = Upkeep(str(uuid4()), RetentionPlan())
    with exclusive(settings), Workbench(settings, "maintain").connect() as connection:
        snapshots, files = _count(connection, "audit.snapshots()"), _data_files(connection)
        publish.set_options(connection)
        done.counts["raw files removed"] = _apply_retention(connection, settings, done)
        compact(connection, published_models(transform.manifest()))
        connection.execute(
            "call ducklake_expire_snapshots('audit', older_than => ?)", [_expire_before(settings, now_utc())]
        )
        connection.execute("call ducklake_cleanup_old_files('audit', older_than => ?)", [_retired(now_utc())])
        connection.execute("call ducklake_delete_orphaned_files('audit', older_than => ?)", [now_utc() - _GRACE])
        remove_expired(connection)
        done.counts |= {
            "snapshots before": snapshots,
            "snapshots after": _count(connection, "audit.snapshots()"),
            "data files before": files,
            "data files after": _data_files(connection),
        }
    with dagster_instance.instance(settings) as instance:
        done.counts["runs forgotten"] = dagster_instance.forget_runs(instance, now_utc() - settings.run_history)
    return done


def preview(settings: Settings) -> Upkeep:
    """What `maintain` would delete and expire now; nothing at all is changed, and no lock is taken.

    Raises:
        NothingPublishedError: if nothing is published yet.
    """
    with lake.reader(settings) as connection:
        plan = make_plan(connection, settings, now_utc())
        expired = "call ducklake_expire_snapshots('audit', dry_run => true, older_than => ?)"
        retired = "call ducklake_cleanup_old_files('audit', dry_run => true, older_than => ?)"
        counts = {
            "raw files left by an earlier upkeep": len(leftovers(connection, settings.raw_dir)),
            "snapshots to expire": len(connection.execute(expired, [_expire_before(settings, now_utc())]).fetchall()),
            "data files to remove": len(connection.execute(retired, [_retired(now_utc())]).fetchall()),
        }
    return Upkeep(None, plan, counts)


def _apply_retention(connection: duckdb.DuckDBPyConnection, settings: Settings, done: Upkeep) -> int:
    """Delete what is past its retention, and return how many files of the raw lake are removed."""
    if settings.retention_rules.deletes:
        publish.create_tables(connection, transform.manifest())
        known_ids.complete(connection)
        since = snapshot_now(connection)
        done.retention = make_plan(connection, settings, now_utc())
        if done.retention.due:
            delete(connection, done.retention.due, str(done.run_id), naive(now_utc()), since)
            if warning := head.keep(connection, settings):
                done.warnings.append(warning)
    files = leftovers(connection, settings.raw_dir)
    remove(files, settings.raw_dir)
    return len(files)


def _count(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    row = connection.execute(f"select count(*) from {what}").fetchone()
    return row[0] if row else 0


def _data_files(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("select coalesce(sum(file_count), 0) from ducklake_table_info('audit')").fetchone()
    return int(row[0]) if row else 0


def _expire_before(settings: Settings, now: datetime) -> datetime:
    return _day_before(now - settings.snapshot_retention)


def _retired(now: datetime) -> datetime:
    return _day_before(now - _GRACE)


def _day_before(moment: datetime) -> datetime:
    """The end of the UTC day before the one that `moment` is in.

    With a SQLite catalog DuckLake compares its times as text, in which a later time of the same day passes for an
    earlier one. At the end of a day the text and the time agree.
    """
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(microseconds=1)
