"""Finds runs whose process has died: the process of a run holds a lock that the kernel releases with it.

So neither a host name, nor a process id, nor a clock says who lives. The event log takes the lock when it records a
run's start, for a command, the daemon and Dagster's pages alike.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DagsterEventType
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._record import replace
from filelock import FileLock, Timeout

if TYPE_CHECKING:
    from dagster import EventLogEntry

# Another process looks for no longer than this whether the run lives, in seconds.
_PATIENCE = 10.0
_RUN_ENDS = (DagsterEventType.RUN_SUCCESS, DagsterEventType.RUN_FAILURE, DagsterEventType.RUN_CANCELED)


class Living(ABC):
    """The locks of the runs that are under way; those of this process are held by this object."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held: set[str] = set()
        self._over: set[str] = set()

    def begin(self, run_id: str) -> None:
        """This process executes the run from here on; it may have executed others before."""
        with self._guard:
            self._let_go(self._over)
            if run_id not in self._held:
                self._lock(run_id)
                self._held.add(run_id)

    def end(self, run_id: str) -> None:
        """The run is over. Its lock stays until the next run, or `close`: Dagster's record of it is not written yet."""
        with self._guard:
            self._over |= {run_id} & self._held

    def close(self) -> None:
        """Let go of every lock of this process."""
        with self._guard:
            self._let_go(self._held)

    @abstractmethod
    def forget(self, run_id: str) -> None:
        """Remove what a run that is over has left."""

    @abstractmethod
    def looked_at(self, run_id: str) -> AbstractContextManager[bool]:
        """Whether the run, which had begun, is dead; nobody else finds it so meanwhile."""

    def _let_go(self, run_ids: Iterable[str]) -> None:
        for run_id in self._held.intersection(run_ids):
            self._unlock(run_id)
            self._held.discard(run_id)
            self._over.discard(run_id)

    @abstractmethod
    def _lock(self, run_id: str) -> None:
        """Take the lock of a run."""

    @abstractmethod
    def _unlock(self, run_id: str) -> None:
        """Let go of it."""


class WatchedEventLogStorage(SqlEventLogStorage):
    """An event log through which every process comes that executes a run, so that it knows which runs live."""

    living: Living

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event. A run's start is recorded by the process that executes it, which then holds its lock."""
        kind = event.dagster_event_type if event.is_dagster_event else None
        if kind == DagsterEventType.RUN_START:
            # Before Dagster knows it: from then on a run whose lock is free is dead.
            self.living.begin(event.run_id)
        elif kind == DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
            event = _of_the_run(event)
        super().store_event(event)
        if kind in _RUN_ENDS:
            self.living.end(event.run_id)

    def delete_events(self, run_id: str) -> None:
        """Remove the events of a run."""
        super().delete_events(run_id)
        self.living.forget(run_id)

    def dispose(self) -> None:
        """Let go of what is open, and of the locks of this process's runs."""
        super().dispose()
        self.living.close()


def _of_the_run(event: EventLogEntry) -> EventLogEntry:
    """A check that is planned for the run as a whole, as it is evaluated, and not for each of its partitions."""
    said = event.get_dagster_event()
    planned = replace(said.asset_check_planned_data, partitions_subset=None)
    return event._replace(dagster_event=said._replace(event_specific_data=planned))


class LivingRuns(Living):
    """The locks in a folder, a file for each run."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._locks: dict[str, FileLock] = {}

    def forget(self, run_id: str) -> None:
        """See Living."""
        self._file(run_id).unlink(missing_ok=True)

    @contextmanager
    def looked_at(self, run_id: str) -> Iterator[bool]:
        """See Living. A dead run's file goes."""
        if not self._file(run_id).exists():
            # Its process took the lock before Dagster knew that it had begun, and nobody but us removes the file.
            yield True
            return
        lock = self._lock_of(run_id)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            self.forget(run_id)
            lock.release()

    def _lock(self, run_id: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = self._lock_of(run_id)
        lock.acquire(timeout=_PATIENCE)
        self._locks[run_id] = lock

    def _unlock(self, run_id: str) -> None:
        self.forget(run_id)
        self._locks.pop(run_id).release()

    def _lock_of(self, run_id: str) -> FileLock:
        # A run may end in another thread than it began in.
        return FileLock(self._file(run_id), thread_local=False)

    def _file(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.lock"
