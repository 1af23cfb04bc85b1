"""The report's connections: one DuckDB for each snapshot of the warehouse, read-only and locked, one cursor a query.

A snapshot never changes, so its DuckDB is attached once and shared; a newer snapshot gets a DuckDB of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from orchestration import lake
from orchestration.masking import without_secrets
from orchestration.settings import Settings
from report.queries.snapshots import Attached, attach, newest

T = TypeVar("T")
TIMEOUT = 30.0
# How long a snapshot counts as the newest before the catalog is asked again, in seconds.
_LOOK_EVERY = 1.0
# How many snapshots stay attached: the newest, and those that open pages still show.
_KEPT = 4


class QueryStoppedError(RuntimeError):
    """A query was stopped before it was done."""


class QueryCancelledError(QueryStoppedError):
    """The query was cancelled by who had asked."""


class QueryTimeoutError(QueryStoppedError):
    """The query took longer than it may."""


class Query:
    """One question to one snapshot of the warehouse; `cancel` may be called by another thread."""

    def __init__(self, attached: Attached, timeout: float) -> None:
        self.connection = attached.cursor()
        self.snapshot = attached.snapshot
        self._answers = attached.answers
        self._timeout = timeout
        self._stop = threading.Event()
        self._done = threading.Event()
        self._error: QueryStoppedError | None = None
        threading.Thread(target=self._watch, name="report-query-watch", daemon=True).start()

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, with `values` bound to its parameters.

        Raises:
            QueryCancelledError: if the query is cancelled.
            QueryTimeoutError: if it has taken too long.
        """
        self.check()
        return self.connection.execute(sql, list(values)).fetchall()

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
        self._done.set()
        self._stop.set()
        self.connection.close()

    def _watch(self) -> None:
        if not self._stop.wait(self._timeout):
            self._error = QueryTimeoutError(f"the query took longer than {self._timeout:g} s and was stopped")
        # A statement that begins just now would forget an interruption, so there is one until it is over.
        while not self._done.wait(0.02):
            self.connection.interrupt()


class Warehouse:
    """The published warehouse for all who read the report, one for each process; any thread may use it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._attaching = threading.Lock()
        self._attached: dict[int, Attached] = {}
        self._newest: int | None = None
        self._looked = float("-inf")

    @contextmanager
    def query(self, *, snapshot: int | None = None, timeout: float = TIMEOUT) -> Iterator[Query]:
        """A question to the newest snapshot, or to the one of this number; `timeout` is in seconds.

        Raises:
            NothingPublishedError: if no run has published anything yet.
            WarehouseError: if the warehouse cannot be read, or has no such snapshot any more; nothing in it is secret.
            QueryStoppedError: if the query is cancelled or takes too long.
        """
        import duckdb

        attached = self._take(snapshot)
        try:
            query = Query(attached, timeout)
            try:
                yield query
            except duckdb.InterruptException:
                query.check()
                raise
            except duckdb.Error as error:
                raise lake.WarehouseError(without_secrets(f"the warehouse cannot be read: {error}")) from None
            finally:
                query.close()
        finally:
            self._give_back(attached)

    def refresh(self) -> None:
        """Take the newest snapshot for the next query, however recently it was looked for."""
        with self._attaching:
            found = newest(self._settings)
            self._attach(found)
            self._newest = found
            self._looked = time.monotonic()

    def close(self) -> None:
        """Let go of the warehouse; queries that are under way fail."""
        with self._lock:
            for attached in self._attached.values():
                attached.close()
            self._attached.clear()
            self._newest, self._looked = None, float("-inf")

    def _take(self, number: int | None) -> Attached:
        if number is None:
            number = self._newest_number()
        with self._lock:
            if attached := self._attached.get(number):
                attached.users += 1
                # The order of the dictionary is that of use, the least recent first.
                self._attached[number] = self._attached.pop(number)
                return attached
        with self._attaching:
            self._attach(number)
        return self._take(number)

    def _newest_number(self) -> int:
        if self._newest is None:
            self.refresh()
        elif time.monotonic() - self._looked > _LOOK_EVERY:
            # Nobody waits for it: until the newer snapshot is attached, the one before it answers.
            self._looked = time.monotonic()
            threading.Thread(target=self._look, name="report-newest-snapshot", daemon=True).start()
        assert self._newest is not None
        return self._newest

    def _look(self) -> None:
        try:
            self.refresh()
        except lake.WarehouseError:
            # A catalog that is away for a moment: the snapshot at hand still answers, and says how old it is.
            return

    def _attach(self, number: int) -> None:
        if number in self._attached:
            return
        attached = attach(self._settings, number)
        with self._lock:
            self._attached[number] = attached
            unused = [key for key, one in self._attached.items() if not one.users and key not in (number, self._newest)]
            for key in unused[: max(0, len(self._attached) - _KEPT)]:
                self._attached.pop(key).close()

    def _give_back(self, attached: Attached) -> None:
        with self._lock:
            attached.users -= 1
