"""The plugin through which dbt-duckdb gets its databases: the run's own, or for other uses a warehouse to read.

It is named in `dbt_project/profiles.yml`. A run announces its workbench with `using`; without one (dbt used by
hand, or for documentation) the warehouse of the settings is attached, and a scratch database in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dbt.adapters.duckdb.plugins import BasePlugin

from orchestration.extensions import CONFIG

if TYPE_CHECKING:
    import duckdb
    from dbt.adapters.duckdb.credentials import DuckDBCredentials

_prepare: Callable[[duckdb.DuckDBPyConnection], None] | None = None
_instance: str | None = None


@contextmanager
def using(prepare: Callable[[duckdb.DuckDBPyConnection], None], instance: str | None = None) -> Iterator[None]:
    """Have dbt's connections prepared by `prepare` inside the block, and closed at its end, when `work` is free.

    They are to the DuckDB instance of that name (`:memory:<name>`), or to one of their own.
    """
    global _instance, _prepare
    # dbt-duckdb keeps an in-memory database for the life of the process; an earlier one is not this run's.
    _close_database()
    _prepare, _instance = prepare, instance
    try:
        yield
    finally:
        _prepare = _instance = None
        _close_database()


def _close_database() -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    environment = DuckDBConnectionManager._ENV
    if environment is not None:
        if environment.conn is not None:
            environment.conn.execute("detach database if exists work")
        environment.close()
    DuckDBConnectionManager.close_all_connections()


class Plugin(BasePlugin):
    """Attaches `work` and `audit`."""

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """Called by dbt-duckdb before it opens the DuckDB instance that `creds` names."""
        config |= CONFIG
        if _instance is not None:
            creds.path = _instance

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Called by dbt-duckdb once for each DuckDB instance that it opens."""
        if _prepare is not None:
            _prepare(conn)
        else:
            from orchestration.settings import load_settings
            from orchestration.workbench import attach_for_dbt

            attach_for_dbt(conn, load_settings())
