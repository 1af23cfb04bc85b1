"""Schedules the report's questions on the machine's processors.

Questions that are soon answered take turns, as many at once as there are processors and in the order in which they
came: so nobody's takes much longer than another's. What reads much of the history is no part of these turns; it has
threads of its own, to which the system gives what the others leave.
"""

from __future__ import annotations

import heapq
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# So much kinder than other threads a thread is that reads much, as `nice` counts.
_KINDNESS = 5
# So many that read much go on at once; they share the processors among themselves.
_SCANS = 4
_LOOK_EVERY = 0.1


class Turns:
    """`places` questions at once; the one that came first, by its number, is the next."""

    def __init__(self, places: int) -> None:
        self._lock = threading.Lock()
        self._free = places
        self._waiting: list[tuple[int, threading.Event]] = []

    def take(self, number: int, check: Callable[[], None]) -> None:
        """Wait for a turn; `check` is called now and then, and ends the waiting by raising."""
        with self._lock:
            if self._free:
                self._free -= 1
                return
            called = threading.Event()
            heapq.heappush(self._waiting, (number, called))
        try:
            while not called.wait(_LOOK_EVERY):
                check()
        except BaseException:
            self._leave(number, called)
            raise

    def give(self) -> None:
        """End a turn."""
        with self._lock:
            self._next()

    def _leave(self, number: int, called: threading.Event) -> None:
        with self._lock:
            if called.is_set():
                self._next()
            else:
                self._waiting.remove((number, called))
                heapq.heapify(self._waiting)

    def _next(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[1].set()
        else:
            self._free += 1


def processors() -> int:
    """How many of them this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def scans() -> ThreadPoolExecutor:
    """Threads for what reads much of the history."""
    return ThreadPoolExecutor(_SCANS, thread_name_prefix="report-scan", initializer=be_kind)


def kindly(work: Callable[[], T]) -> T:
    """What `work` brings, done in a thread that waits for others; so do those that it starts, as a DuckDB does."""
    with ThreadPoolExecutor(1, initializer=be_kind) as pool:
        return pool.submit(work).result()


def be_kind() -> None:
    """Have this thread, and those that it starts, wait for others; elsewhere than on Linux nothing is changed."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _KINDNESS)
