"""Rows that DuckLake keeps in its catalog, being too few for a file, and that no snapshot has any more.

Expiring snapshots removes data files and leaves these rows. No reader can ask for them, so none is disturbed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestration.lake import ALIAS

if TYPE_CHECKING:
    import duckdb

_CATALOG = f"__ducklake_metadata_{ALIAS}"


def remove_expired(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove the rows that ended before the oldest snapshot that is kept; the connection has `audit` attached."""
    tables = connection.execute(f"select table_name from {_CATALOG}.ducklake_inlined_data_tables").fetchall()
    (oldest,) = connection.execute(f"select min(snapshot_id) from {_CATALOG}.ducklake_snapshot").fetchall()[0]
    for (table,) in tables:
        connection.execute(f'delete from {_CATALOG}."{table}" where end_snapshot <= ?', [oldest])
