"""Chooses the databases that dbt's connections attach while a run builds; the plugin attaches them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import duckdb

prepare: Callable[[duckdb.DuckDBPyConnection], None] | None = None
instance: str | None = None


@contextmanager
def using(prepared_by: Callable[[duckdb.DuckDBPyConnection], None], instance_name: str | None = None) -> Iterator[None]:
    """Have dbt's connections prepared by `prepared_by` inside the block, and closed at its end, when `work` is free.

    They are to the DuckDB instance of that name (`:memory:<name>`), or to one of their own.
    """
    global instance, prepare
    # dbt-duckdb keeps an in-memory database for the life of the process; an earlier one is not this run's.
    _close_database()
    prepare, instance = prepared_by, instance_name
    try:
        yield
    finally:
        prepare = instance = None
        _close_database()


def _close_database() -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        if environment.conn is not None:
            environment.conn.execute("detach database if exists work")
        environment.close()
    DuckDBConnectionManager.close_all_connections()
