"""A pool of threads, each with its own cursor on one snapshot: DuckDB returns rows on one thread only."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb

# In seconds.
_INTERRUPT_EVERY = 0.1


class QueryPool:
    """Runs so many checks at a time, each on a connection of its own to the same snapshot.

    Whatever has not begun when the block ends is left out. If it ends by an exception, such as Ctrl-C, what runs is
    interrupted.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, at_a_time: int) -> None:
        self._connection = connection
        self._pool = ThreadPoolExecutor(at_a_time, thread_name_prefix="verify-slices")
        self._running: list[tuple[Future[Any], duckdb.DuckDBPyConnection]] = []

    def submit(self, check: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a check called with a connection of its own and these arguments."""
        own = self._connection.cursor()
        future = self._pool.submit(check, own, *arguments)
        self._running.append((future, own))
        return future

    def __enter__(self) -> QueryPool:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        # An interrupt is of one query, and a check has several.
        while left := [future for future, _ in self._running if not future.done()]:
            wait(left, timeout=_INTERRUPT_EVERY)
            for _, own in self._running if kind else ():
                own.interrupt()
        for _, own in self._running:
            own.close()
