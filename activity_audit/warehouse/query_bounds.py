"""Bounds on a query that somebody asks: its time, its memory, and the space that it may spill to.

DuckDB's own limit is of its buffers. A text that a query makes (`repeat('x', 4000000000)`) is not in them, so the
system is asked to refuse the process more memory, which DuckDB then says. And DuckDB looks whether it is interrupted
between pieces of work only, so a query that makes one huge piece is ended with its process.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import duckdb

from activity_audit.settings.core import Settings
from activity_audit.settings.value_types import bytes_of

# How many times the memory limit a query may spill to disk.
_SPILL = 4
# What the process takes beside DuckDB's buffers: rows as Python's objects, threads, and what they need for a while.
_BESIDE = 1 << 30
# How long an interrupted query has to end, in seconds.
_PATIENCE = 10.0
_LOOK_EVERY = 0.05


class QueryTooLargeError(RuntimeError):
    """A query took more than it may; the message says of what, and what to do."""


def bound_spill(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Bound the space on disk of a connection that is not locked yet."""
    connection.execute(f"set max_temp_directory_size = '{_SPILL * bytes_of(settings.memory_limit)}B'")


class Clock:
    """How long a query has worked: the time in blocks of `working`, and not what a reader of its rows takes between."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spent = 0.0
        self._since: float | None = None

    @contextmanager
    def working(self) -> Iterator[None]:
        """The clock runs in the block."""
        with self._lock:
            self._since = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._spent = self._so_far()
                self._since = None

    def spent(self) -> float:
        """The seconds so far."""
        with self._lock:
            return self._so_far()

    def _so_far(self) -> float:
        return self._spent + (time.monotonic() - self._since if self._since is not None else 0.0)


@contextmanager
def bounded(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Iterator[Clock]:
    """In the block the connection's queries work for AUDIT_SQL_TIMEOUT, and take AUDIT_MEMORY_LIMIT, at most.

    The caller has the clock run while it asks. What does not end then ends with this process, with a sentence on
    standard error and exit code 1.

    Raises:
        QueryTooLargeError: if they take more.
    """
    too_long = f"the query took longer than {_said(settings.sql_timeout)} (AUDIT_SQL_TIMEOUT) and was stopped; ask less"
    done, over, clock = threading.Event(), threading.Event(), Clock()
    longest = settings.sql_timeout.total_seconds()

    def watch() -> None:
        while (left := longest - clock.spent()) > 0:
            if done.wait(max(left, _LOOK_EVERY)):
                return
        over.set()
        end = time.monotonic() + _PATIENCE
        while not done.wait(_LOOK_EVERY):
            connection.interrupt()
            if time.monotonic() > end:
                sys.stderr.write(f"Error: {too_long}\n")
                sys.stderr.flush()
                os._exit(1)

    watching = threading.Thread(target=watch, name="query-bounds", daemon=True)
    watching.start()
    try:
        with _memory(bytes_of(settings.memory_limit) + _BESIDE):
            yield clock
    except duckdb.InterruptException:
        if over.is_set():
            raise QueryTooLargeError(too_long) from None
        raise
    except (duckdb.OutOfMemoryException, MemoryError):
        raise QueryTooLargeError(
            f"the query needs more memory than AUDIT_MEMORY_LIMIT={settings.memory_limit} allows, or more than "
            f"{_SPILL} times that on disk; ask less, or raise it"
        ) from None
    finally:
        done.set()
        # Nothing is interrupted that comes after this.
        watching.join()


@contextmanager
def _memory(more: int) -> Iterator[None]:
    """In the block this process gets so many bytes more than it has now. Only Linux counts them as they are used."""
    taken = _taken()
    if taken is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    known = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([taken + more, *known]), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _taken() -> int | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmData:")]
    return int(line.split()[1]) << 10


def _said(duration: timedelta) -> str:
    return f"{duration.total_seconds():g} s"
