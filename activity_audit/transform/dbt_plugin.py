"""The plugin through which dbt-duckdb gets its databases: the run's own, or for other uses a warehouse to read.

It is named in `dbt_project/profiles.yml`. A run announces its workbench with `dbt_session.using`;
without one (dbt used by hand, or for documentation) the warehouse of the settings is attached, and a scratch
database in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

from activity_audit.dbt_runner import session
from activity_audit.settings.core import load_settings
from activity_audit.transform.scratch import attach_for_dbt
from activity_audit.warehouse.extensions import CONFIG

if TYPE_CHECKING:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials


class Plugin(BasePlugin):
    """Attaches `work` and `audit`."""

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """Called by dbt-duckdb before it opens the DuckDB instance that `creds` names."""
        config |= CONFIG
        if session.instance is not None:
            creds.path = session.instance

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Called by dbt-duckdb once for each DuckDB instance that it opens."""
        if session.prepare is not None:
            session.prepare(conn)
        else:
            attach_for_dbt(conn, load_settings())
