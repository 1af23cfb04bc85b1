"""What DuckLake's catalog has in tables of its own; the connections have the warehouse attached as `audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

# The catalog's tables, as DuckLake attaches them beside the warehouse.
CATALOG = "__ducklake_metadata_audit"


def warehouse_id(connection: duckdb.DuckDBPyConnection) -> str:
    """What tells this warehouse from any other: it is made with the catalog, and never changes."""
    query = f"select schema_uuid from {CATALOG}.ducklake_schema where schema_id = 0"
    return str(connection.execute(query).fetchall()[0][0])


def table_folders(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """The folder of every table that there ever was, relative to the data folder, such as `main/dim_application/`."""
    rows = connection.execute(
        f"select distinct place.path || known.path from {CATALOG}.ducklake_table as known "
        f"inner join {CATALOG}.ducklake_schema as place using (schema_id)"
    ).fetchall()
    return tuple(sorted(path for (path,) in rows))
