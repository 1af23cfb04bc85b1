"""Dagster's SQLite event log, with a batch of asset events written as two transactions instead of two for each.

Measured (docs/adr/0006): a run over 48 hours with nothing new takes 21 s with it and 347 s with Dagster's own, which
keeps the same 27 MB; a run over an hour 9 and 22 s.

A warehouse of several machines keeps Dagster's records in PostgreSQL instead (`orchestration.postgres_storage`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import _check as check
from dagster._core.events import ASSET_EVENTS
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import create_engine
from sqlalchemy.event import listen
from sqlalchemy.pool import QueuePool

from orchestration.living_runs import LivingRuns, WatchedEventLogStorage

if TYPE_CHECKING:
    import sqlite3

    from dagster import EventLogEntry
    from sqlalchemy.engine import Connection, Engine


# How many runs' databases are kept open; a process may look at any number of runs in its life.
_OPEN_RUNS = 4


def _spare_the_disk(connection: sqlite3.Connection, _record: object) -> None:
    # With its write-ahead log, SQLite then loses at most what came last, and that only if the power fails.
    connection.execute("pragma synchronous = normal")


class BatchedSqliteEventLogStorage(WatchedEventLogStorage, SqliteEventLogStorage):
    """Dagster's storage; what it writes is the same but for planned checks, only the transactions are fewer."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: dict[str, Engine] = {}
        self.living = LivingRuns(Path(base_dir).parent / "alive")
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> BatchedSqliteEventLogStorage:
        """The storage that `dagster.yaml` configures."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        # Dagster makes an engine, and SQLAlchemy gets to know its dialect, at every event; one a database is enough.
        # It also closes the connection, for which SQLite writes its log back and waits for the disk.
        with self._db_lock:
            engine = self._engine_of(shard)
            with engine.connect() as connection, connection.begin():
                yield connection
            if shard != INDEX_SHARD_NAME:
                # The page of a run that is under way waits for a change of this file, and not of its log.
                os.utime(self.path_for_shard(shard))

    def _engine_of(self, shard: str) -> Engine:
        if shard not in self._engines:
            for old in [known for known in self._engines if known != INDEX_SHARD_NAME][: 1 - _OPEN_RUNS]:
                self._engines.pop(old).dispose()
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=QueuePool,
                pool_size=1,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
            )
            listen(engine, "connect", _spare_the_disk)
            self._initdb(engine)
            self._engines[shard] = engine
        return self._engines[shard]

    def delete_events(self, run_id: str) -> None:
        """Remove the events of a run, and let go of its database."""
        super().delete_events(run_id)
        with self._db_lock:
            if engine := self._engines.pop(run_id, None):
                engine.dispose()

    def dispose(self) -> None:
        """Let go of every database, and of the locks of this process's runs."""
        super().dispose()
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events: asset events of one run together, any others one by one, as Dagster would."""
        runs: dict[str, list[EventLogEntry]] = {}
        for event in events:
            if event.is_dagster_event and event.dagster_event_type in ASSET_EVENTS:
                runs.setdefault(event.run_id, []).append(event)
            else:
                self.store_event(event)
        for run_id, asset_events in runs.items():
            self._store_asset_events(run_id, asset_events)

    def _store_asset_events(self, run_id: str, events: Sequence[EventLogEntry]) -> None:
        """Store them in the run's database, and in the index of all runs, where assets are looked up."""
        rows = [self._event_to_row(event) for event in events]
        insert = SqlEventLogStorageTable.insert()
        with self.run_connection(run_id) as connection:
            connection.execute(insert, rows)
        with self.index_transaction() as connection:
            # The first one takes the database's lock, so that the ids of the others follow its own.
            first = check.not_none(connection.execute(insert, rows[0]).inserted_primary_key)[0]
            if rows[1:]:
                connection.execute(insert, rows[1:])
            ids = range(first, first + len(rows))
            self._store_asset_event_tags(connection, events, ids)
            # The index keeps the newest event of each kind for an asset, so only that one is written.
            newest = {(row["asset_key"], row["dagster_event_type"]): index for index, row in enumerate(rows)}
            for index in newest.values():
                self._store_asset_event(connection, events[index], ids[index])

    def _has_asset_key_index_cols_on_connection(self, conn: Connection) -> bool:
        # Dagster asks SQLite for this table's columns at every event; a database that it created has them all.
        return True
