"""Attaching one snapshot of the warehouse to a DuckDB of its own, and finding the newest."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import duckdb

from activity_audit.base.faults import damaged_data
from activity_audit.base.masking import without_secrets
from activity_audit.report.queries import labels, rollups
from activity_audit.report.queries.cache import Answers
from activity_audit.report.queries.event_ids import LITTLE_MEMORY, EventIds
from activity_audit.report.queries.files import FactFiles, fact_files
from activity_audit.report.queries.labels import Labels
from activity_audit.report.queries.rollups import Instances
from activity_audit.report.queries.scheduler import kindly
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake

_log = logging.getLogger(__name__)


@dataclass
class Attached:
    """A snapshot with the two DuckDBs that read it, how many queries use it, and answers that hold for all of it.

    They share the memory limit, half each. One has the counts, and does each statement in the thread that asks; the
    other has none, and is for statements that read much of the history, each in several threads.
    """

    settings: Settings
    snapshot: lake.Snapshot
    connection: duckdb.DuckDBPyConnection
    scanning: duckdb.DuckDBPyConnection
    files: FactFiles
    labels: Labels
    answers: Answers
    users: int = 0
    has_people: bool = False
    instances: Instances | None = None
    is_prepared: bool = False
    _counting: list[duckdb.DuckDBPyConnection] = field(default_factory=list)
    # What is interrupted by one thread is not closed by another just then.
    _ending: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the DuckDB that has the counts."""
        return self.connection.cursor()

    def scanner(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the DuckDB that is for reading much."""
        return self.scanning.cursor()

    def prepare(self, before: Attached | None = None) -> None:
        """Count events by who triggered them, out of the counts of the snapshot `before` where they hold still; count
        the instances with the most of them; and find out which files may have which event ids.

        Without that everything is answered too, out of the events.
        """
        try:
            with self.cursor() as connection, self.scanner() as scanner, self._interruptible(connection, scanner):
                if before is not None and before.has_people:
                    with before.cursor() as known:
                        kindly(partial(rollups.build_people, connection, scanner, known))
                else:
                    kindly(partial(rollups.build_people, connection, scanner, None))
                self.has_people = True
                self.instances = kindly(partial(rollups.count_instances, connection, scanner))
                kindly(partial(self.files.learn_ids, scanner))
                self.is_prepared = True
        except duckdb.Error:
            # Readers are answered all the same, and a newer snapshot is not held up.
            if not self._closed:
                _log.exception(
                    "not all could be prepared for readers; what is counted by people, or finds an "
                    "event by its id, is slow now"
                )

    @contextmanager
    def _interruptible(self, *connections: duckdb.DuckDBPyConnection) -> Iterator[None]:
        with self._ending:
            self._counting = list(connections)
        try:
            yield
        finally:
            with self._ending:
                self._counting = []

    def close(self) -> None:
        """Let go of the DuckDBs; counting that is under way is given up."""
        self._closed = True
        while self._counting:
            with self._ending:
                for connection in self._counting:
                    connection.interrupt()
            time.sleep(0.01)
        self.connection.close()
        self.scanning.close()


class Catalog:
    """A connection that sees what is published, used by one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: duckdb.DuckDBPyConnection | None = None

    def newest(self) -> int:
        """The number of the newest snapshot.

        Raises:
            NothingPublishedError: if no run has published anything yet.
            WarehouseError: if the warehouse cannot be reached.
        """
        try:
            if self._connection is None:
                self._connection = lake.open_reader(self._settings, memory_limit=LITTLE_MEMORY)
            return lake.newest_version(self._connection)
        except duckdb.Error as error:
            self.close()
            raise lake.WarehouseError(without_secrets(f"the warehouse cannot be read: {error}")) from None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def attach(settings: Settings, number: int, remembered: int, event_ids: EventIds) -> Attached:
    """The snapshot of this number, attached for reading and nothing else; of answers so many rows are `remembered`.

    Raises:
        WarehouseError: if it is not kept any more, or the warehouse cannot be reached.
    """
    # What a DuckDB may use cannot be changed once it is locked, so each has its share from the start.
    share = settings.memory_share(1 / 2)
    connection = lake.open_reader(settings, number, share)
    try:
        rollups.build(connection)
        labels.build(connection)
        rollups.prepare_people(connection)
        files = fact_files(connection, number, event_ids)
        # Many questions at once leave no processor idle, and to share out each of them would cost more than it brings.
        connection.execute("set threads = 1")
        lake.lock_down(connection, settings)
        scanning = kindly(lambda: lake.open_reader(settings, number, share))
        try:
            lake.lock_down(scanning, settings)
            answers, newest = Answers(remembered), lake.snapshot(connection)
            return Attached(settings, newest, connection, scanning, files, Labels(connection), answers)
        except BaseException:
            scanning.close()
            raise
    except duckdb.Error as error:
        readable = as_read(connection, error)
        connection.close()
        raise readable from None
    except BaseException:
        connection.close()
        raise


def as_read(connection: duckdb.DuckDBPyConnection, error: duckdb.Error) -> lake.WarehouseError:
    """The error of a query as a reader is told of it: nothing in it is secret."""
    from activity_audit.warehouse.older_release import explained

    if isinstance(error, (duckdb.BinderException, duckdb.CatalogException)):
        with connection.cursor() as cursor:
            if older := explained(cursor, error):
                return older
    return lake.WarehouseError(damaged_data(error) or without_secrets(f"the warehouse cannot be read: {error}"))
