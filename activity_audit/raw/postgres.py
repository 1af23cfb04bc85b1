"""The index of a shared raw lake, in the database of the catalog: PostgreSQL. Other books have schemas of their own.

It is reached as the catalog itself is, by DuckDB's extension: with the same connection string, the same environment and
password file of libpq, and no driver beside it. The statements are PostgreSQL's own and run there. Writers take turns,
by a lock that PostgreSQL lets go of with their transaction.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import duckdb

from activity_audit.base.faults import FaultError
from activity_audit.base.masking import without_secrets
from activity_audit.base.sql_text import literal
from activity_audit.raw.database import ALL, IndexConnection
from activity_audit.warehouse import extensions

SCHEMA = "activity_audit_raw"
_TABLE = re.compile(r"create table if not exists (\w+)")
_COMPLETE = "complete"
# Any number that no other program in this database takes for a lock of its own.
_LOCK = 0x61756469_74726177
# How SQLite's words are said here; times are texts, which are to be ordered as there.
_WORDS = (
    (" without rowid", ""),
    (" text", ' text collate "C"'),
    (" integer", " bigint"),
    (" blob", " bytea"),
    ("select value from json_each(?)", "select jsonb_array_elements_text(?::jsonb)"),
)
_AT_A_TIME = 500
_numbers = itertools.count()


class PostgresDatabase:
    """The index in the schema `activity_audit_raw` of a database; `dsn` is a connection string of libpq.

    With another schema and its tables it is another book, which `what` names; the last table is the one that came last.
    """

    def __init__(
        self, dsn: str, schema: str = SCHEMA, tables: Sequence[str] = ALL, what: str = "the index of the raw lake"
    ) -> None:
        self._dsn = self.place = dsn
        self._schema = schema
        self._tables = tables
        self.name = f"the schema {schema} of the catalog's database"
        self.how_to_rebuild = f"drop {self.name}"
        self._what = f"{what}, in {self.name},"

    def is_complete(self) -> bool:
        """See IndexDatabase."""
        with self.connect() as connection:
            return connection.execute("select 1 from note where name = ?", [_COMPLETE]).fetchone() is not None

    def set_complete(self, connection: IndexConnection) -> None:
        """See IndexDatabase."""
        connection.execute("insert into note values (?, '') on conflict (name) do nothing", [_COMPLETE])

    @contextmanager
    def connect(self) -> Iterator[PostgresConnection]:
        """See IndexDatabase."""
        with self._attached() as (connection, alias):
            try:
                found = PostgresConnection(connection, alias, self._what)
                found.begin(self._schema, self._tables)
                yield found
            except BaseException:
                # A database that is gone cannot roll back either, and that is not what went wrong first.
                with suppress(duckdb.Error):
                    connection.execute("rollback")
                raise
            found.commit()

    @contextmanager
    def _attached(self) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
        """A connection that has the database attached, alone: it may have been started again since the last time."""
        connection, alias = _instance().cursor(), f"raw_{next(_numbers)}"
        try:
            try:
                connection.execute(f"attach {literal(self._dsn)} as {alias} (type postgres)")
            except duckdb.Error as error:
                raise _unusable(self._what, error) from None
            yield connection, alias
        finally:
            with suppress(duckdb.Error):
                connection.execute(f"detach database if exists {alias}")
            connection.close()


class PostgresConnection:
    """See IndexConnection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, alias: str, what: str) -> None:
        self._connection = connection
        self._alias = literal(alias)
        self._what = what
        self._has_lock = False

    def begin(self, schema: str, tables: Sequence[str]) -> None:
        """Begin the transaction, and make the tables of the schema where they are not there."""
        self._run("begin")
        # Each statement is to see what was committed before it, and not before a lock was waited for.
        self._send(f"set transaction isolation level read committed; set local search_path to {schema}")
        newest = f"{schema}.{_TABLE.findall('; '.join(tables))[-1]}"
        if not self._is_made(newest):
            self.lock()
            if not self._is_made(newest):
                self._send(f"create schema if not exists {schema}; {'; '.join(map(_translated, tables))}")

    def commit(self) -> None:
        """Commit the transaction."""
        self._run("commit")

    def execute(self, sql: str, arguments: Sequence[Any] = ()) -> _Rows:
        """See IndexConnection."""
        text = _filled(_translated(sql), arguments)
        if text.startswith("select"):
            return _Rows(self._ask(text))
        self.lock()
        self._send(text)
        return _Rows([])

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """See IndexConnection."""
        statement, left = _translated(sql), iter(rows)
        while part := [_filled(statement, row) for row in itertools.islice(left, _AT_A_TIME)]:
            self.lock()
            self._send(";\n".join(part))

    def add_new(self, table: str, key: str, rows: Sequence[Sequence[Any]]) -> list[bool]:
        """See IndexConnection."""
        self.lock()
        known: set[Any] = set()
        for start in range(0, len(rows), _AT_A_TIME):
            keys = ", ".join(_literal(row[0]) for row in rows[start : start + _AT_A_TIME])
            known |= {found for (found,) in self._ask(f"select {key} from {table} where {key} in ({keys})")}
        new = {row[0]: row for row in rows if row[0] not in known}
        if new:
            self.executemany(f"insert into {table} values ({', '.join('?' * len(rows[0]))})", new.values())
        # Of two rows with one key the last is in the table, and it alone counts as added.
        return [new.get(row[0]) is row for row in rows]

    def ensure(self, statements: Iterable[str]) -> None:
        """See IndexConnection. All tables are made at the beginning."""

    def lock(self) -> None:
        """See IndexConnection."""
        if not self._has_lock:
            self._send(f"select pg_advisory_xact_lock({_LOCK})")
            self._has_lock = True

    def _is_made(self, newest: str) -> bool:
        return self._ask(f"select to_regclass('{newest}') is not null") == [(True,)]

    def _ask(self, text: str) -> list[Any]:
        return self._run(f"from postgres_query({self._alias}, {literal(text)})").fetchall()

    def _send(self, text: str) -> None:
        self._run(f"call postgres_execute({self._alias}, {literal(text)})")

    def _run(self, statement: str) -> duckdb.DuckDBPyConnection:
        try:
            return self._connection.execute(statement)
        except duckdb.Error as error:
            raise _unusable(self._what, error) from None


class _Rows:
    """See Rows."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = iter(rows)

    def fetchone(self) -> Any:
        """See Rows."""
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        """See Rows."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


@cache
def _instance() -> duckdb.DuckDBPyConnection:
    connection = extensions.connect()
    extensions.load(connection, ("postgres_scanner",))
    return connection


def _translated(sql: str) -> str:
    for word, own in _WORDS:
        sql = sql.replace(word, own)
    return sql


def _filled(sql: str, arguments: Sequence[Any]) -> str:
    """The statement with its arguments in it."""
    parts = sql.split("?")
    values = [*map(_literal, arguments), ""]
    return "".join(itertools.chain.from_iterable(zip(parts, values, strict=True)))


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return f"decode('{value.hex()}', 'hex')"
    # PostgreSQL's texts have no character 0.
    text = str(value).replace("\0", "\\0").replace("\\", "\\\\").replace("'", "''")
    return f"E'{text}'"


def _unusable(what: str, error: duckdb.Error) -> FaultError:
    # A message quotes the statement, or the connection string, which may have a password.
    said = str(error).rpartition("ERROR: ")[2].partition("\n")[0].strip()
    return FaultError(
        f"{what} cannot be used: {without_secrets(said)}. "
        "Nothing is half done: run the same command again when the database is back"
    )
