"""One question to one snapshot of the warehouse, which can be stopped from outside, and is stopped in time."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

import duckdb

from activity_audit.report.queries.scheduler import Turns
from activity_audit.report.queries.snapshots import Attached

T = TypeVar("T")
P = ParamSpec("P")
Rows = list[tuple[Any, ...]]
# A statement that begins just now would forget an interruption, so there is one so often, in seconds, until it ends.
_INTERRUPT_EVERY = 0.02
_LOOK_EVERY = 0.1
# To read so many events takes longer than a reader's turn may.
MANY = 4_000_000
_numbers = itertools.count()


class QueryStoppedError(RuntimeError):
    """A query was stopped before it was done."""


class QueryCancelledError(QueryStoppedError):
    """The query was cancelled by who had asked."""


class QueryTimeoutError(QueryStoppedError):
    """The query took longer than it may."""


class Query:
    """Open until its block ends; it is used by one thread, and `cancel` may be called by any.

    It waits for its turn when it first asks something that is not known yet, and keeps it until it is closed; the time
    in which it waits to read much of the history is not counted. A `masked` one has the word for masked in place of
    every value of a masked field, whatever it is asked.
    """

    def __init__(
        self, attached: Attached, timeout: float, turns: Turns, scans: ThreadPoolExecutor, *, masked: bool = False
    ) -> None:
        self.is_masked = masked
        self.snapshot = attached.snapshot
        self.settings = attached.settings
        self.files = attached.files.masked() if masked else attached.files
        self.labels = attached.labels
        # What was counted by fields that are masked is not there for who has them masked.
        self.has_people = attached.has_people and not masked
        self.instances = None if masked else attached.instances
        self.is_prepared = attached.is_prepared
        self._attached = attached
        self._turns = turns
        self._scans = scans
        self._number = next(_numbers)
        self._has_turn = False
        self._cursors: list[duckdb.DuckDBPyConnection] = []
        self._counting: duckdb.DuckDBPyConnection | None = None
        self._timeout = timeout
        self._ends_at = time.monotonic() + timeout
        self._stop = threading.Event()
        self._done = threading.Event()
        self._closing = threading.Lock()
        self._error: QueryStoppedError | None = None
        threading.Thread(target=self._watch, name="report-query-watch", daemon=True).start()

    def rows(self, sql: str, values: Sequence[Any] = (), *, reads: int = 0) -> Rows:
        """The rows of a statement, with `values` bound to its parameters.

        A statement that `reads` many events goes on beside those that do not, and holds up none of them.

        Raises:
            QueryCancelledError: if the query is cancelled.
            QueryTimeoutError: if it has taken too long.
        """
        self.check()
        if reads > MANY:
            return self._scan(sql, values)
        self._take_turn()
        if self._counting is None:
            self._counting = self._cursor(self._attached.cursor)
        return self._execute(self._counting, sql, values)

    def remember(self, question: Hashable, ask: Callable[[], T]) -> T:
        """What `ask` says, or has said before in this snapshot to the same question."""
        return self._attached.answers.answer(question, ask, self._wait_for)

    def scanner(self) -> duckdb.DuckDBPyConnection:
        """A connection for reading much in a thread of one's own, which is stopped as the query is."""
        return self._cursor(self._attached.scanner)

    def cancel(self) -> None:
        """Stop the query, whatever it is doing."""
        self._error = self._error or QueryCancelledError("the query was cancelled")
        self._stop.set()

    def check(self) -> None:
        """Raise what stopped the query, if something did."""
        if self._error:
            raise self._error

    def close(self) -> None:
        """Let go of the connections, and of the turn."""
        with self._closing:
            self._done.set()
            for cursor in self._cursors:
                cursor.close()
        self._stop.set()
        self._give_turn()

    def _execute(self, cursor: duckdb.DuckDBPyConnection, sql: str, values: Sequence[Any]) -> Rows:
        try:
            return cursor.execute(sql, list(values)).fetchall()
        except duckdb.InterruptException:
            self.check()
            raise

    def _cursor(self, connect: Callable[[], duckdb.DuckDBPyConnection]) -> duckdb.DuckDBPyConnection:
        cursor = connect()
        with self._closing:
            self._cursors.append(cursor)
        return cursor

    def _scan(self, sql: str, values: Sequence[Any]) -> Rows:
        self._give_turn()
        self._ends_at = float("inf")

        def run() -> Rows:
            self._ends_at = time.monotonic() + self._timeout
            self.check()
            return self._execute(self.scanner(), sql, values)

        found = self._scans.submit(run)
        while True:
            try:
                return found.result(_LOOK_EVERY)
            except TimeoutError:
                if self._error and found.cancel():
                    raise self._error from None

    def _take_turn(self) -> None:
        if not self._has_turn:
            self._turns.take(self._number, self.check)
            self._has_turn = True

    def _give_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turns.give()

    def _wait_for(self, answer: threading.Event) -> None:
        # Who gives the answer may need the turn.
        self._give_turn()
        while not answer.wait(_LOOK_EVERY):
            self.check()

    def _watch(self) -> None:
        while not self._stop.wait(min(1.0, max(0.0, self._ends_at - time.monotonic()))):
            if time.monotonic() >= self._ends_at:
                self._error = QueryTimeoutError(f"the query took longer than {self._timeout:g} s and was stopped")
                break
        while not self._done.wait(_INTERRUPT_EVERY):
            with self._closing:
                if not self._done.is_set():
                    for cursor in self._cursors:
                        cursor.interrupt()


def remembered(ask: Callable[Concatenate[Query, P], T]) -> Callable[Concatenate[Query, P], T]:
    """Decorates a question whose answer depends on its arguments and the snapshot only; nobody may change it."""

    @wraps(ask)
    def asked(query: Query, *args: P.args, **kwargs: P.kwargs) -> T:
        question = (
            ask.__module__,
            ask.__name__,
            query.has_people,
            query.is_masked,
            args,
            tuple(sorted(kwargs.items())),
        )
        return query.remember(question, lambda: ask(query, *args, **kwargs))

    return asked
