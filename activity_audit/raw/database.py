"""The database of the raw lake's index: its tables, what every such database does, and a SQLite file that does it.

Other books of a home or a warehouse are kept in the same way, with tables of their own.

The SQL is what SQLite and PostgreSQL have in common; `postgres` has the few words that differ.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from activity_audit.base.faults import damaged

INDEX_NAME = "index.sqlite"
_TIMEOUT = 60
_REBUILD = "Move it away, with its -wal and -shm, and run again: the run makes it again from the raw files"
# The versions of a SQLite index: it may lack what is in the raw lake, or has all of it.
_INCOMPLETE = 1
_COMPLETE = 2

SCHEMA = (
    """create table if not exists delivery (
        delivery_id text primary key, feed text not null, feed_hour text not null, name text not null,
        source_uri text not null, sha256 text not null, bytes integer not null, records integer not null,
        landed_at text not null
    ) without rowid""",
    "create index if not exists delivery_hour on delivery (feed_hour, feed)",
    """create table if not exists manifest (
        feed text not null, feed_hour text not null, sha256 text not null, content blob not null,
        landed_at text not null, primary key (feed, feed_hour, sha256)
    ) without rowid""",
    "create table if not exists seen (source_uri text primary key, token text not null) without rowid",
)
# These came later, so a SQLite file may lack them.
BY_FEED = ("create index if not exists delivery_feed on delivery (feed, feed_hour)",)
WAITING = (
    "create table if not exists waiting (delivery_id text primary key) without rowid",
    "create table if not exists looked (sequence integer not null, entry_sha256 text not null, deliveries integer)",
)
# For what an earlier release lands on the same home, which knows nothing of waiting. Only in SQLite.
WAITING_BY_ITSELF = (
    "create trigger if not exists delivery_waits after insert on delivery begin "
    "insert or ignore into waiting values (new.delivery_id); end",
)
SET_ASIDE = (
    """create table if not exists set_aside (
        source_uri text not null, delivery_id text not null, feed text not null, feed_hour text, name text not null,
        reason text not null, first_seen text not null, last_seen text not null, gone_at text,
        primary key (source_uri, delivery_id)
    ) without rowid""",
)
NOTES = ("create table if not exists note (name text primary key, content text not null) without rowid",)
EXPECTED = ("create table if not exists expected (path text primary key, expected_at text not null) without rowid",)
ALL = (*SCHEMA, *BY_FEED, *WAITING, *SET_ASIDE, *NOTES, *EXPECTED)


class Rows(Protocol):
    """The result of a statement."""

    def fetchone(self) -> Any:
        """The next row; None after the last."""

    def fetchall(self) -> list[Any]:
        """The rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left, one by one."""


class IndexConnection(Protocol):
    """A connection in a transaction."""

    def execute(self, sql: str, arguments: Sequence[Any] = ()) -> Rows:
        """Run one statement; `?` stands for the next argument."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> Any:
        """Run one statement for each row of arguments."""

    def add_new(self, table: str, key: str, rows: Sequence[Sequence[Any]]) -> list[bool]:
        """Add rows to a table, except where its key, their first column, is there; whether each was added."""

    def ensure(self, statements: Iterable[str]) -> None:
        """Have these tables made, if they are not there."""

    def lock(self) -> None:
        """Keep other writers out until the transaction ends; to be called before anything is read."""


class IndexDatabase(Protocol):
    """Where the index is. Several processes may use it at once."""

    # What tells it from another one, how a person calls it, and how they have it made again from the raw files.
    place: str
    name: str
    how_to_rebuild: str

    def is_complete(self) -> bool:
        """Whether it is known to have all that was landed; not so when it is new, lost or half rebuilt."""

    def set_complete(self, connection: IndexConnection) -> None:
        """Record that it has, in the connection's transaction."""

    def connect(self) -> AbstractContextManager[IndexConnection]:
        """A connection in a transaction, which is committed where the block ends without an error.

        Raises:
            FaultError: if the database is damaged, or cannot be used.
        """


class SqliteConnection(sqlite3.Connection):
    """See IndexConnection."""

    def add_new(self, table: str, key: str, rows: Sequence[Sequence[Any]]) -> list[bool]:
        """See IndexConnection."""
        if not rows:
            return []
        statement = f"insert or ignore into {table} values ({', '.join('?' * len(rows[0]))})"
        return [bool(self.execute(statement, row).rowcount) for row in rows]

    def ensure(self, statements: Iterable[str]) -> None:
        """See IndexConnection."""
        for statement in statements:
            self.execute(statement)

    def lock(self) -> None:
        """See IndexConnection."""
        self.execute("begin immediate")


class SqliteDatabase:
    """The index in a SQLite file, which is made where it is not there; `rebuild` is what to do if it is damaged."""

    def __init__(self, path: Path, tables: Sequence[str] = SCHEMA, rebuild: str = _REBUILD) -> None:
        self._path = path
        self._tables = tables
        self._rebuild = rebuild
        self.place = self.name = str(path)
        self.how_to_rebuild = f"remove {path}"

    def is_complete(self) -> bool:
        """See IndexDatabase."""
        return self._path.exists() and self._version() == _COMPLETE

    def set_complete(self, connection: IndexConnection) -> None:
        """See IndexDatabase."""
        connection.execute(f"pragma user_version = {_COMPLETE}")

    @contextmanager
    def connect(self) -> Iterator[SqliteConnection]:
        """See IndexDatabase."""
        if not self._path.exists() or not self._version():
            self._create()
        with self._open() as connection, connection:
            yield connection

    def _version(self) -> int:
        with self._open() as connection:
            return int(connection.execute("pragma user_version").fetchone()[0])

    @contextmanager
    def _open(self) -> Iterator[SqliteConnection]:
        """A connection, closed at the end.

        Raises:
            FaultError: the index is damaged, or cannot be used; for a time or a text in it that is none, too.
        """
        try:
            with closing(sqlite3.connect(self._path, timeout=_TIMEOUT, factory=SqliteConnection)) as connection:
                yield connection
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise damaged(self._path, error, self._rebuild) from error

    def _create(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite does not wait for another process when it switches to a write-ahead log.
        with FileLock(self._path.with_name(f".{self._path.name}.lock")), self._open() as connection:
            if not connection.execute("pragma user_version").fetchone()[0]:
                connection.execute("pragma journal_mode = wal")
                connection.executescript(
                    f"begin; {'; '.join(self._tables)}; pragma user_version = {_INCOMPLETE}; commit;"
                )
