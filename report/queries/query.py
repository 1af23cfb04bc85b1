"""One question to one snapshot of the warehouse, which can be stopped from outside, and is stopped in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from report.queries.snapshots import Attached

T = TypeVar("T")
# A statement that begins just now would forget an interruption, so there is one so often, in seconds, until it ends.
_INTERRUPT_EVERY = 0.02


class QueryStoppedError(RuntimeError):
    """A query was stopped before it was done."""


class QueryCancelledError(QueryStoppedError):
    """The query was cancelled by who had asked."""


class QueryTimeoutError(QueryStoppedError):
    """The query took longer than it may."""


class Query:
    """Open until its block ends; it is used by one thread, and `cancel` may be called by any."""

    def __init__(self, attached: Attached, timeout: float) -> None:
        self.connection = attached.cursor()
        self.snapshot = attached.snapshot
        self.has_people = attached.has_people
        self._answers = attached.answers
        self._timeout = timeout
        self._stop = threading.Event()
        self._done = threading.Event()
        self._closing = threading.Lock()
        self._error: QueryStoppedError | None = None
        threading.Thread(target=self._watch, name="report-query-watch", daemon=True).start()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a statement, with `values` bound to its parameters.

        Raises:
            QueryCancelledError: if the query is cancelled.
            QueryTimeoutError: if it has taken too long.
        """
        import duckdb

        self.check()
        try:
            return self.connection.execute(sql, list(values)).fetchall()
        except duckdb.InterruptException:
            self.check()
            raise

    def once(self, name: str, ask: Callable[[], T]) -> T:
        """What `ask` says, remembered for the snapshot under this name; it must not depend on anything else."""
        if name not in self._answers:
            self._answers[name] = ask()
        return self._answers[name]

    def cancel(self) -> None:
        """Stop the query, whatever it is doing."""
        self._error = self._error or QueryCancelledError("the query was cancelled")
        self._stop.set()

    def check(self) -> None:
        """Raise what stopped the query, if something did."""
        if self._error:
            raise self._error

    def close(self) -> None:
        """Let go of the connection."""
        with self._closing:
            self._done.set()
            self.connection.close()
        self._stop.set()

    def _watch(self) -> None:
        if not self._stop.wait(self._timeout):
            self._error = QueryTimeoutError(f"the query took longer than {self._timeout:g} s and was stopped")
        while not self._done.wait(_INTERRUPT_EVERY):
            with self._closing:
                if not self._done.is_set():
                    self.connection.interrupt()
