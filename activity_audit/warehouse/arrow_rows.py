"""Moves rows of Python into DuckDB by way of Arrow; executemany would take a millisecond for each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

Rows = Sequence[Sequence[Any]]
_NAME = "rows_of_python"


@contextmanager
def readable(connection: duckdb.DuckDBPyConnection, names: Sequence[str], rows: Rows) -> Iterator[str]:
    """Let the SQL of a block read these rows, as a table of columns of these names; yields the table's name."""
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    connection.register(_NAME, pa.table({name: list(values) for name, values in zip(names, columns, strict=True)}))
    try:
        yield _NAME
    finally:
        connection.unregister(_NAME)


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Rows, names: Sequence[str] = ()) -> None:
    """Add rows to a table; their values are in the order of its columns, or of `names`."""
    if not rows:
        return
    names = names or [row[0] for row in connection.execute(f"describe {table}").fetchall()]
    with readable(connection, names, rows) as source:
        connection.execute(f"insert into {table} by name from {source}")


def create(connection: duckdb.DuckDBPyConnection, table: str, names: Sequence[str], rows: Rows) -> None:
    """Make a table, such as `work.main.due_batch` or `temp table due_hour`, of rows of which there are some.

    It takes the place of the one of that name, and the types of its columns are those of the values.
    """
    kind = "" if table.startswith("temp table ") else "table "
    with readable(connection, names, rows) as source:
        connection.execute(f"create or replace {kind}{table} as from {source}")
