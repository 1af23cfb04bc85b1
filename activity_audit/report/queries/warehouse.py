"""The report's connections: one DuckDB for each snapshot of the warehouse, read-only and locked, one cursor a query.

A snapshot never changes, so its DuckDB is attached once and shared; a newer snapshot gets a DuckDB of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import duckdb

from activity_audit.report.queries.event_ids import EventIds
from activity_audit.report.queries.query import (
    Query,
    QueryCancelledError,
    QueryStoppedError,
    QueryTimeoutError,
    remembered,
)
from activity_audit.report.queries.scheduler import Turns, processors, scans
from activity_audit.report.queries.snapshots import Attached, Catalog, as_read, attach
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake

__all__ = ["Query", "QueryCancelledError", "QueryStoppedError", "QueryTimeoutError", "Warehouse", "remembered"]

TIMEOUT = 30.0
# How long a snapshot counts as the newest before the catalog is asked again, in seconds.
_LOOK_EVERY = 2.0
# How many snapshots stay attached: the newest, and those that open pages still show.
_KEPT = 3
# How many rows of answers are remembered for each of them: some 40 MB.
_REMEMBERED = 40_000
# How many of those who read pages ask at once.
_MOST_READERS = 200


class Warehouse:
    """The published warehouse for all who read the report, one for each process; any thread may use it."""

    def __init__(self, settings: Settings, remembered: int = _REMEMBERED) -> None:
        """Nothing is attached yet; of each snapshot's answers so many rows are `remembered`."""
        self._settings = settings
        self._remembered = remembered
        # Who waits for an answer holds up nothing else that the server does in threads.
        self.readers = ThreadPoolExecutor(_MOST_READERS, thread_name_prefix="report-reader")
        self._event_ids = EventIds(settings.report_dir / "event_ids")
        self._turns = Turns(processors())
        self._scans = scans()
        self._catalog = Catalog(settings)
        self._lock = threading.Lock()
        self._attaching = threading.Lock()
        # Its holder may count for long, or wait for the catalog; who reads a snapshot never needs it.
        self._refreshing = threading.Lock()
        self._attached: dict[int, Attached] = {}
        self._newest: int | None = None
        self._looked = float("-inf")
        self._closed = False

    @contextmanager
    def query(self, *, snapshot: int | None = None, timeout: float = TIMEOUT, masked: bool = False) -> Iterator[Query]:
        """A question to the newest snapshot, or to the one of this number; `timeout` is in seconds.

        For a reader who may not know who did what to whom it is `masked`.

        Raises:
            NothingPublishedError: if no run has published anything yet.
            WarehouseError: if the warehouse cannot be read, or has no such snapshot any more; nothing in it is secret.
            QueryStoppedError: if the query is cancelled or takes too long.
        """
        attached = self._take(self._newest_number() if snapshot is None else snapshot)
        try:
            query = Query(attached, timeout, self._turns, self._scans, masked=masked)
            try:
                yield query
            except duckdb.InterruptException:
                query.check()
                raise
            except duckdb.Error as error:
                raise as_read(attached.connection, error) from None
            finally:
                query.close()
        finally:
            self._leave(attached)

    def refresh(self) -> None:
        """Take the newest snapshot for the next query, however recently it was looked for.

        Raises:
            NothingPublishedError: if no run has published anything yet.
            WarehouseError: if the warehouse cannot be reached.
        """
        with self._refreshing:
            if self._closed:
                return
            number = self._catalog.newest()
            self._looked = time.monotonic()
            if number == self._newest:
                return
            with self._lock:
                before = self._attached.get(self._newest) if self._newest is not None else None
            attached = self._take(number)
            try:
                if before is not None:
                    # Nobody waits: until this is done the snapshot before answers.
                    attached.prepare(before)
                self._newest = number
            finally:
                self._leave(attached)
        if before is None:
            threading.Thread(target=attached.prepare, name="report-people", daemon=True).start()

    def close(self) -> None:
        """Let go of the warehouse; queries that are under way fail."""
        self._closed = True
        with self._attaching, self._lock:
            for attached in self._attached.values():
                attached.close()
            self._attached.clear()
        # Counting has just been given up, so a refresh is soon done.
        with self._refreshing:
            self._catalog.close()
        self._scans.shutdown()
        self._event_ids.close()
        self.readers.shutdown(wait=False)

    def _take(self, number: int) -> Attached:
        while True:
            with self._lock:
                if attached := self._attached.get(number):
                    attached.users += 1
                    # The order of the dictionary is that of use, the least recent first.
                    self._attached[number] = self._attached.pop(number)
                    return attached
            with self._attaching:
                if self._closed:
                    raise lake.WarehouseError("the report is being stopped")
                self._attach(number)

    def _leave(self, attached: Attached) -> None:
        with self._lock:
            attached.users -= 1

    def _newest_number(self) -> int:
        if self._newest is None:
            self.refresh()
        elif time.monotonic() - self._looked > _LOOK_EVERY:
            # Nobody waits for it: until the newer snapshot is attached, the one before it answers.
            self._looked = time.monotonic()
            threading.Thread(target=self._look, name="report-newest-snapshot", daemon=True).start()
        if self._newest is None:
            raise lake.WarehouseError("the report is being stopped")
        return self._newest

    def _look(self) -> None:
        try:
            self.refresh()
        except lake.WarehouseError:
            # A catalog that is away for a moment: the snapshot at hand still answers, and says how old it is.
            return

    def _attach(self, number: int) -> Attached:
        if attached := self._attached.get(number):
            return attached
        attached = attach(self._settings, number, self._remembered, self._event_ids)
        with self._lock:
            self._attached[number] = attached
            unused = [key for key, one in self._attached.items() if not one.users and key not in (number, self._newest)]
            gone = [self._attached.pop(key) for key in unused[: max(0, len(self._attached) - _KEPT)]]
        # Readers of the other snapshots do not wait for it.
        for one in gone:
            one.close()
        return attached
