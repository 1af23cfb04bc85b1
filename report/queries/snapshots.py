"""Attaching one snapshot of the warehouse to a DuckDB of its own, and finding the newest."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestration import lake
from orchestration.masking import without_secrets
from orchestration.settings import Settings
from report.queries import people, rollups

if TYPE_CHECKING:
    import duckdb

_log = logging.getLogger(__name__)


@dataclass
class Attached:
    """A snapshot with the DuckDB that reads it, how many queries use it, and answers that hold for all of it."""

    snapshot: lake.Snapshot
    connection: duckdb.DuckDBPyConnection
    users: int = 0
    has_people: bool = False
    answers: dict[str, Any] = field(default_factory=dict)
    _counting: duckdb.DuckDBPyConnection | None = None
    _closed: bool = False

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same DuckDB."""
        return self.connection.cursor()

    def count_people(self, before: Attached | None = None) -> None:
        """Count events by who triggered them, out of the counts of the snapshot `before` where they hold still.

        Without these counts everything is answered too, out of the events.
        """
        import duckdb

        with self.cursor() as connection:
            self._counting = connection
            try:
                if before is not None and before.has_people:
                    with before.cursor() as known:
                        people.build(connection, known)
                else:
                    people.build(connection, None)
                self.has_people = True
            except duckdb.Error:
                # Readers are answered all the same, and a newer snapshot is not held up.
                if not self._closed:
                    _log.exception("events could not be counted by who triggered them; such counts are slow now")
            finally:
                self._counting = None

    def close(self) -> None:
        """Let go of the DuckDB; counting that is under way is given up."""
        self._closed = True
        while counting := self._counting:
            counting.interrupt()
            time.sleep(0.01)
        self.connection.close()


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
        import duckdb

        try:
            if self._connection is None:
                self._connection = lake.open_reader(self._settings)
            return lake.newest_version(self._connection)
        except duckdb.Error as error:
            self.close()
            raise lake.WarehouseError(without_secrets(f"the warehouse cannot be read: {error}")) from None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def attach(settings: Settings, number: int) -> Attached:
    """The snapshot of this number, attached for reading and nothing else.

    Raises:
        WarehouseError: if it is not kept any more, or the warehouse cannot be reached.
    """
    connection = lake.open_reader(settings, number)
    try:
        rollups.build(connection)
        lake.lock_down(connection, settings)
        return Attached(lake.snapshot(connection), connection)
    except BaseException:
        connection.close()
        raise
