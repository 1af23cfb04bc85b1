"""Reads DuckLake's own catalog tables; the connections have the warehouse attached as `audit`."""

from __future__ import annotations

import duckdb

# The catalog's tables, as DuckLake attaches them beside the warehouse.
CATALOG = "__ducklake_metadata_audit"
# The folder of every table that there ever was, relative to the data folder.
_FOLDERS = f"""
    select known.table_id, place.path || known.path as folder
    from {CATALOG}.ducklake_table as known
    inner join {CATALOG}.ducklake_schema as place using (schema_id)
"""


def warehouse_id(connection: duckdb.DuckDBPyConnection) -> str:
    """What tells this warehouse from any other: it is made with the catalog, and never changes."""
    query = f"select schema_uuid from {CATALOG}.ducklake_schema where schema_id = 0"
    return str(connection.execute(query).fetchall()[0][0])


def known_files(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Every file that a snapshot has, or that is to be removed: relative to the data folder, or absolute."""
    rows = connection.execute(
        f"""
        with file as (
            select table_id, path, path_is_relative from {CATALOG}.ducklake_data_file
            union all
            select table_id, path, path_is_relative from {CATALOG}.ducklake_delete_file
        )
        select case when file.path_is_relative then folder || file.path else file.path end
        from file inner join ({_FOLDERS}) using (table_id)
        union
        select path from {CATALOG}.ducklake_files_scheduled_for_deletion
        """
    ).fetchall()
    return {path for (path,) in rows}


def table_folders(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """The folder of every table that there ever was, relative to the data folder, such as `main/dim_application/`."""
    rows = connection.execute(f"select distinct folder from ({_FOLDERS})").fetchall()
    return tuple(sorted(path for (path,) in rows))
