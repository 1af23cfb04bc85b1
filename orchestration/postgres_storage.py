"""Dagster's event log in PostgreSQL, for a warehouse of several machines (AUDIT_DAGSTER_STORAGE).

It is Dagster's own. Added is only who lives: the process of a run holds an advisory lock of a session, which the server
releases when the process, its machine or the connection is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import psycopg2
from dagster_postgres.event_log import PostgresEventLogStorage

from orchestration.living_runs import Living, WatchedEventLogStorage

# A server that hears nothing from a machine for so many seconds lets go of its locks.
_KEEPALIVE = "set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3"


class SharedEventLogStorage(WatchedEventLogStorage, PostgresEventLogStorage):
    """Dagster's storage; what it writes is the same but for planned checks."""

    def __init__(self, postgres_url: str, should_autocreate_tables: bool = True, inst_data: Any = None) -> None:
        self.living = RunsOfAllMachines(postgres_url)
        super().__init__(postgres_url, should_autocreate_tables, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> SharedEventLogStorage:
        """The storage that `dagster.yaml` configures."""
        return cls(inst_data=inst_data, **config_value)


class RunsOfAllMachines(Living):
    """The locks in a database, of the session that this process has."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._session: Any = None

    def close(self) -> None:
        """See Living."""
        super().close()
        with self._guard:
            if self._session is not None:
                self._session.close()
            self._session = None

    def forget(self, run_id: str) -> None:
        """See Living: nothing is left."""

    @contextmanager
    def looked_at(self, run_id: str) -> Iterator[bool]:
        """See Living."""
        session = _connected(self._url)
        try:
            yield _ask(session, "select pg_try_advisory_lock(%s)", run_id)
        finally:
            session.close()

    def _lock(self, run_id: str) -> None:
        try:
            self._lock_all([run_id])
        except psycopg2.Error:
            # The session was lost, and with it every lock of this process.
            self._session = None
            self._lock_all([*self._held, run_id])

    def _lock_all(self, run_ids: Iterable[str]) -> None:
        if self._session is None:
            self._session = _connected(self._url)
        for run_id in run_ids:
            _ask(self._session, "select pg_advisory_lock(%s)", run_id)

    def _unlock(self, run_id: str) -> None:
        # Of a session that was lost, there is none.
        with suppress(psycopg2.Error):
            _ask(self._session, "select pg_advisory_unlock(%s)", run_id)


def _connected(url: str) -> Any:
    session = psycopg2.connect(url)
    session.autocommit = True
    with session.cursor() as cursor:
        cursor.execute(_KEEPALIVE)
    return session


def _ask(session: Any, query: str, run_id: str) -> bool:
    with session.cursor() as cursor:
        cursor.execute(query, [int.from_bytes(UUID(run_id).bytes[:8], signed=True)])
        return bool(cursor.fetchone()[0])
