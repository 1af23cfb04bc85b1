"""The plugin through which dbt-duckdb gets its databases: the run's own, or for other uses a warehouse to read.

It is named in `dbt_project/profiles.yml`. A run announces its workbench with `using`; without one (dbt used by
hand, or for documentation) the warehouse of the settings is attached, and a scratch database in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dbt.adapters.duckdb.plugins import BasePlugin

if TYPE_CHECKING:
    import duckdb

_prepare: Callable[[duckdb.DuckDBPyConnection], None] | None = None


@contextmanager
def using(prepare: Callable[[duckdb.DuckDBPyConnection], None]) -> Iterator[None]:
    """Have dbt connections prepared by `prepare` inside the block, and closed at its end."""
    global _prepare
    # dbt-duckdb keeps an in-memory database for the life of the process; an earlier one is not this run's.
    _close_database()
    _prepare = prepare
    try:
        yield
    finally:
        _prepare = None
        _close_database()


def _close_database() -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
    DuckDBConnectionManager.close_all_connections()


class Plugin(BasePlugin):
    """Attaches `work` and `audit`."""

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Called by dbt-duckdb once for each DuckDB instance that it opens."""
        if _prepare is not None:
            _prepare(conn)
        else:
            from orchestration.settings import load_settings
            from orchestration.workbench import attach_for_dbt

            attach_for_dbt(conn, load_settings())
