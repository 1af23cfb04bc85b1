"""The run lock: only one run at a time judges against the warehouse and adds to it. Readers need no lock."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from filelock import FileLock, Timeout

from activity_audit.base import files
from activity_audit.settings.core import Settings

# Called as a run enters a stage, with its name.
OnStage = Callable[[str], None]
# The ids of runs, and of the commands that are none; a run in parts has workbenches of its own. DuckDB and models add
# files beside a database.
_SCRATCH = re.compile(
    r"([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-rest|-\d+)?(-again)*|maintain|hold)\.(duckdb(\..+)?|dbt|exchange)"
)


class WarehouseBusyError(RuntimeError):
    """Another run holds the warehouse for longer than AUDIT_LOCK_TIMEOUT."""


@contextmanager
def exclusive(
    settings: Settings, progress: OnStage = lambda _: None, patience: timedelta | None = None
) -> Iterator[None]:
    """Only one run at a time judges against the warehouse and adds to it; readers need no lock.

    It waits for `patience`, or for AUDIT_LOCK_TIMEOUT.

    Raises:
        WarehouseBusyError: if another run holds the lock for longer.
    """
    wait = settings.lock_timeout if patience is None else patience
    settings.home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(settings.warehouse_lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("waiting for another run")
        try:
            lock.acquire(timeout=wait.total_seconds())
        except Timeout:
            raise WarehouseBusyError(
                f"another run has locked {settings.warehouse_lock} for more than {wait}; wait for it, or stop it"
            ) from None
    try:
        _clear(settings)
        yield
    finally:
        _clear(settings)
        lock.release()


def _is_scratch(name: str) -> bool:
    """Whether a name in the scratch space is of a workbench, so that it may be removed when no run is under way."""
    return _SCRATCH.fullmatch(name) is not None


def _clear(settings: Settings) -> None:
    """Remove what runs left in the scratch space, killed ones too, and processes that are gone spilt; under the lock.

    A home may have been somebody's folder before, so what is not named as ours is left alone.
    """
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    files.sweep(settings.spill_dir)
    for path in settings.work_dir.iterdir():
        if not _is_scratch(path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
