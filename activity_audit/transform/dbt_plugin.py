"""The plugin through which dbt-duckdb gets its databases: the run's own, or for other uses a warehouse to read.

It is named in `dbt_project/profiles.yml`. A run announces its workbench with `session.using`; without one (dbt used by
hand, or for documentation) `by_hand` says what is attached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin
from dbt_common.exceptions import DbtRuntimeError

from activity_audit.dbt_runner import session
from activity_audit.settings.core import load_settings
from activity_audit.transform import by_hand
from activity_audit.warehouse.extensions import CONFIG
from activity_audit.warehouse.lake import WarehouseError

if TYPE_CHECKING:
    from dbt.adapters.duckdb.credentials import DuckDBCredentials


class Plugin(BasePlugin):
    """Attaches `work` and `audit`."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Called by dbt-duckdb with what the profile says: the variables `hour` and `feed` of the command."""
        self._named = {name: str(value) for name, value in plugin_config.items()}

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """Called by dbt-duckdb before it opens the DuckDB instance that `creds` names."""
        config |= CONFIG
        if session.instance is not None:
            creds.path = session.instance

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        """Called by dbt-duckdb once for each DuckDB instance that it opens."""
        if session.prepare is not None:
            session.prepare(conn)
            return
        try:
            by_hand.attach(conn, load_settings(), **self._named)
        except (by_hand.ByHandError, WarehouseError) as error:
            raise DbtRuntimeError(str(error)) from error
