"""Upkeep: compaction, expiry of old snapshots and runs, removal of files that nothing refers to.

What the warehouse says is not changed by any of it; only snapshots older than the retention can no longer be
asked for.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestration import dagster_instance, lake, transform
from orchestration.compaction import compact
from orchestration.contract import published_models
from orchestration.hours import now_utc
from orchestration.pipeline import exclusive
from orchestration.settings import Settings
from orchestration.workbench import Workbench

# A reader that began before a file was retired may still read it for this long.
_GRACE = timedelta(hours=1)


def maintain(settings: Settings) -> dict[str, int]:
    """Compact small files, expire snapshots past the retention, delete retired and orphaned files.

    Returns the counts of snapshots before and after, of data files before and after, and of Dagster runs forgotten.

    Raises:
        NothingPublishedError: if nothing is published yet.
        WarehouseBusyError: if a run holds the warehouse for too long.
    """
    with lake.reader(settings):
        pass
    retired = _day_before(now_utc() - _GRACE)
    with exclusive(settings), Workbench(settings, "maintain").connect() as connection:

        def count(what: str) -> int:
            row = connection.execute(f"select count(*) from {what}").fetchone()
            return row[0] if row else 0

        def data_files() -> int:
            row = connection.execute("select coalesce(sum(file_count), 0) from ducklake_table_info('audit')").fetchone()
            return int(row[0]) if row else 0

        snapshots, files = count("audit.snapshots()"), data_files()
        compact(connection, published_models(transform.manifest()))
        connection.execute(
            "call ducklake_expire_snapshots('audit', older_than => ?)",
            [_day_before(now_utc() - settings.snapshot_retention)],
        )
        connection.execute("call ducklake_cleanup_old_files('audit', older_than => ?)", [retired])
        connection.execute("call ducklake_delete_orphaned_files('audit', older_than => ?)", [now_utc() - _GRACE])
        compacted = {
            "snapshots before": snapshots,
            "snapshots after": count("audit.snapshots()"),
            "data files before": files,
            "data files after": data_files(),
        }
    with dagster_instance.instance(settings) as instance:
        forgotten = dagster_instance.forget_runs(instance, now_utc() - settings.run_history)
    return compacted | {"runs forgotten": forgotten}


def _day_before(moment: datetime) -> datetime:
    """The end of the UTC day before the one that `moment` is in.

    With a SQLite catalog DuckLake compares its times as text, in which a later time of the same day passes for an
    earlier one. At the end of a day the text and the time agree.
    """
    return moment.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(microseconds=1)
