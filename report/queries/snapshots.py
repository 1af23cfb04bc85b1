"""Attaching one snapshot of the warehouse to a DuckDB of its own, and finding the newest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestration import lake
from orchestration.settings import Settings
from report.queries import rollups

if TYPE_CHECKING:
    import duckdb


@dataclass
class Attached:
    """A snapshot with the DuckDB that reads it, how many queries use it, and answers that hold for all of it."""

    snapshot: lake.Snapshot
    connection: duckdb.DuckDBPyConnection
    users: int = 0
    answers: dict[str, Any] = field(default_factory=dict)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same DuckDB."""
        return self.connection.cursor()

    def close(self) -> None:
        """Let go of the DuckDB."""
        self.connection.close()


def newest(settings: Settings) -> int:
    """The number of the newest snapshot.

    Raises:
        NothingPublishedError: if no run has published anything yet.
        WarehouseError: if the warehouse cannot be reached.
    """
    with lake.reader(settings) as connection:
        return lake.newest_version(connection)


def attach(settings: Settings, number: int) -> Attached:
    """The snapshot of this number, attached for reading and nothing else.

    Raises:
        WarehouseError: if it is not kept any more, or the warehouse cannot be reached.
    """
    connection = lake.open_snapshot(settings, number)
    try:
        rollups.build(connection)
        lake.lock_down(connection, settings)
        return Attached(lake.snapshot(connection), connection)
    except BaseException:
        connection.close()
        raise
