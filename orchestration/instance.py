"""Dagster's instance in `$AUDIT_HOME/dagster`: its configuration, and the runs that died."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from filelock import FileLock

from activity_audit.base.faults import FaultError
from activity_audit.base.files import rewrite
from activity_audit.base.hours import now_utc
from activity_audit.base.masking import without_secrets
from activity_audit.settings.core import Settings

if TYPE_CHECKING:
    import dagster as dg

# The name of the code location, by which Dagster knows the schedules that somebody turned off.
LOCATION = "activity_audit"
# How many events are written in one transaction; an hourly partition of an asset is one event.
_EVENT_BATCH = 1000
# How long a run may take from its launch to its start, in seconds.
_START_TIMEOUT = 300
# In days. A sensor looks every minute, and most often there is nothing to do.
_TICKS_KEPT = 90
_SENSOR_TICKS_KEPT = {"skipped": 7, "started": _TICKS_KEPT, "success": _TICKS_KEPT, "failure": _TICKS_KEPT}
# The tags of a run that is dead, and of the one that does its work again, with the id of the former.
_DIED, _AGAIN = "audit/died", "audit/again"
_GONE = (
    "The process of this run is gone: it was killed, or its machine or container stopped. Nothing "
    "is lost; the next run publishes what this one did not."
)


def prepare(settings: Settings) -> Path:
    """Write Dagster's configuration where it is missing or old, and point Dagster at it; its folder.

    Beside that of the instance is `workspace.yaml`, for Dagster's own commands.

    Two first starts at once must not both create Dagster's databases, so this is done under a lock.
    """
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", str(_EVENT_BATCH))
    location = {"module_name": "orchestration.definitions", "location_name": LOCATION}
    files = {
        "dagster.yaml": configuration(home, settings.dagster_storage),
        "workspace.yaml": {"load_from": [{"python_module": location}]},
    }
    with FileLock(home / ".prepare.lock"):
        for name, content in files.items():
            text = yaml.safe_dump(content, sort_keys=False)
            target = home / name
            if not target.exists() or target.read_bytes() != text.encode():
                rewrite(target, text)
    return home


def configuration(home: Path, shared: str | None = None) -> dict[str, object]:
    """The content of `dagster.yaml`; `shared` is the URL of a PostgreSQL database for its records.

    Raises:
        FaultError: what such a database needs is not installed.
    """
    if shared and find_spec("dagster_postgres") is None:
        raise FaultError(
            "AUDIT_DAGSTER_STORAGE needs the package dagster-postgres: `pip install 'activity-audit[postgres]'`"
        )
    return {
        "telemetry": {"enabled": False},
        # Dagster's pages would ask a reader for their mail address, and send it away.
        "nux": {"enabled": False},
        **(_in_postgresql(shared) if shared else _in_sqlite(home)),
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": str(home / "storage")},
        },
        "concurrency": {"runs": {"max_concurrent_runs": 1}},
        "run_monitoring": {"enabled": True, "start_timeout_seconds": _START_TIMEOUT},
        "retention": {
            "schedule": {"purge_after_days": _TICKS_KEPT},
            "sensor": {"purge_after_days": _SENSOR_TICKS_KEPT},
        },
    }


def _in_sqlite(home: Path) -> dict[str, object]:
    def storage(module: str, name: str, folder: str) -> dict[str, object]:
        return {"module": module, "class": name, "config": {"base_dir": str(home / folder)}}

    return {
        "run_storage": storage("dagster._core.storage.runs", "SqliteRunStorage", "history"),
        "event_log_storage": storage("orchestration.storage", "BatchedSqliteEventLogStorage", "history/runs"),
        "schedule_storage": storage("dagster._core.storage.schedules", "SqliteScheduleStorage", "schedules"),
    }


def _in_postgresql(url: str) -> dict[str, object]:
    def storage(module: str, name: str) -> dict[str, object]:
        return {"module": module, "class": name, "config": {"postgres_url": url}}

    return {
        "run_storage": storage("dagster_postgres", "PostgresRunStorage"),
        "event_log_storage": storage("orchestration.postgres_storage", "SharedEventLogStorage"),
        "schedule_storage": storage("dagster_postgres", "PostgresScheduleStorage"),
    }


def instance(settings: Settings) -> dg.DagsterInstance:
    """The Dagster instance of these settings.

    Raises:
        FaultError: the database of AUDIT_DAGSTER_STORAGE cannot be reached, or what it needs is not installed.
    """
    import dagster as dg

    home = prepare(settings)
    with FileLock(home / ".prepare.lock"), _reached(settings.dagster_storage):
        return dg.DagsterInstance.get()


@contextmanager
def _reached(shared: str | None) -> Iterator[None]:
    """Say in a sentence that the database of several machines is out of reach, and not each of Dagster's attempts."""
    if shared is None:
        yield
        return
    from dagster_postgres.utils import DagsterPostgresException
    from sqlalchemy.exc import DBAPIError

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    except (DagsterPostgresException, DBAPIError) as error:
        cause = error.__cause__ if isinstance(error, DagsterPostgresException) else error
        said = " ".join(without_secrets(str(getattr(cause, "orig", error))).split())
        raise FaultError(f"Dagster's database, AUDIT_DAGSTER_STORAGE={shared!r}, cannot be used: {said}") from None
    finally:
        root.setLevel(level)


def fail_dead_runs(dagster_instance: dg.DagsterInstance) -> int:
    """Mark runs as over whose process is gone (killed, or lost with its machine or container); how many.

    A run that has begun is dead if nobody holds its lock; one that has not, if nothing became of it for so long that
    Dagster's own monitoring, where its daemon is there, would give it up as well.
    """
    import dagster as dg
    from dagster import DagsterRunStatus as Status

    from orchestration.living_runs import WatchedEventLogStorage

    storage = dagster_instance.event_log_storage
    if not isinstance(storage, WatchedEventLogStorage):
        return 0
    waiting, begun = (Status.NOT_STARTED, Status.STARTING), (Status.STARTED, Status.CANCELING)
    longest = timedelta(seconds=_START_TIMEOUT)
    dead = 0
    for record in dagster_instance.get_run_records(dg.RunsFilter(statuses=[*waiting, *begun])):
        run = record.dagster_run
        if run.status in waiting:
            if now_utc() - record.update_timestamp > longest:
                dead += _bury(dagster_instance, run)
            continue
        with storage.living.looked_at(run.run_id) as is_dead:
            if is_dead:
                dead += _bury(dagster_instance, run)
    return dead


def _bury(dagster_instance: dg.DagsterInstance, seen: dg.DagsterRun) -> bool:
    """Mark a dead run as over, unless its record has changed since; whether it was."""
    import dagster as dg

    run = dagster_instance.get_run_by_id(seen.run_id)
    if run is None or run.status != seen.status:
        return False
    if run.status == dg.DagsterRunStatus.CANCELING:
        dagster_instance.report_run_canceled(run, "The process of this run is gone, so it is canceled.")
    else:
        dagster_instance.add_run_tags(run.run_id, {_DIED: "true"})
        dagster_instance.report_run_failed(run, _GONE)
    return True


def last_that_died(dagster_instance: dg.DagsterInstance, job_name: str) -> str | None:
    """The newest run of a job that died with its process, by its id; the first of those that did the same work."""
    import dagster as dg

    for run in dagster_instance.get_runs(dg.RunsFilter(job_name=job_name, tags={_DIED: "true"}), limit=1):
        return run.tags.get(_AGAIN, run.run_id)
    return None


def again_tags(run_id: str) -> Mapping[str, str]:
    """The tags of a run that does again the work of one that died."""
    return {_AGAIN: run_id}
