"""DuckLake catalogs as the databases that they are: attached beside each other, and copied row by row.

Snapshots, paths relative to the data folder and the id of the warehouse stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from activity_audit.base.sql_text import literal
from activity_audit.settings.core import Settings
from activity_audit.warehouse import data_folder, extensions, lake_catalog, spill
from activity_audit.warehouse.lake_catalog import CATALOG
from activity_audit.warehouse.lake_location import ALIAS, Location, WarehouseError, attach_at, prepare

# Files to be removed are not copied, and rows in the catalog itself are not there any more when it is copied.
_NOT_COPIED = ("ducklake_files_scheduled_for_deletion", "ducklake_inlined_data_tables")
_INLINED = "ducklake_inlined_"


@contextmanager
def connected(settings: Settings, *places: Location) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that can attach each of these warehouses."""
    folder = str(spill.folder(settings))
    connection = extensions.connect(memory_limit=settings.memory_limit, temp_directory=folder)
    try:
        # All at once, because afterwards DuckDB loads no more.
        names = dict.fromkeys(name for where in places for name in where.extensions)
        extensions.load(connection, tuple(names))
        for where in places:
            prepare(connection, where)
        yield connection
    finally:
        connection.close()


@contextmanager
def attached_lake(connection: duckdb.DuckDBPyConnection, where: Location, *, is_move: bool = True) -> Iterator[None]:
    """Attach a warehouse as `audit`, by default also one that is closed."""
    attach_at(connection, where, "", is_move=is_move)
    try:
        yield
    finally:
        connection.execute(f"detach {ALIAS}")


@contextmanager
def attached(connection: duckdb.DuckDBPyConnection, where: Location, name: str) -> Iterator[None]:
    """Attach a catalog as the database that it is."""
    connection.execute(f"attach {literal(where.catalog.removeprefix('ducklake:'))} as {name}")
    try:
        yield
    finally:
        connection.execute(f"detach {name}")


def is_file_missing(where: Location) -> bool:
    """Whether a catalog is a file of this machine that is not there."""
    return where.catalog_file is not None and not Path(where.catalog_file).exists()


def own_tables(connection: duckdb.DuckDBPyConnection, catalog: str) -> list[str]:
    """DuckLake's own tables in an attached catalog."""
    rows = connection.execute(
        "select table_name from duckdb_tables() where database_name = ? and table_name like 'ducklake\\_%' escape '\\' "
        "order by all",
        [catalog],
    ).fetchall()
    return [name for (name,) in rows]


def require_rows_in_files(connection: duckdb.DuckDBPyConnection, catalog: str = CATALOG) -> None:
    """Refuse an attached catalog that has rows of the warehouse in itself, which are not copied.

    Raises:
        WarehouseError: saying what to do.
    """
    for table in own_tables(connection, catalog):
        is_held = table.startswith(_INLINED) and table not in _NOT_COPIED
        if is_held and connection.execute(f'select 1 from {catalog}."{table}" limit 1').fetchone():
            raise WarehouseError(
                "the catalog itself has rows of an earlier release; `audit maintain` brings them to files"
            )


def files_of(connection: duckdb.DuckDBPyConnection, data_path: str) -> list[str]:
    """The names of all data files that a snapshot of the attached warehouse has, relative to the data folder.

    Raises:
        WarehouseError: if the catalog knows files that are not in it.
    """
    names = sorted(lake_catalog.files_of_snapshots(connection))
    if strange := [
        name for name in names if not data_folder.is_in_folder(name) or name.startswith("/") or "://" in name
    ]:
        raise WarehouseError(f"the catalog knows data files that are not in {data_path}, such as {strange[0]}")
    return names


def copy_rows(connection: duckdb.DuckDBPyConnection, old: str, new: str, data_path: str) -> None:
    """Make every row of the attached catalog `new` that of `old`, in the transaction that is under way."""
    for table in own_tables(connection, old):
        if table.startswith(_INLINED) or table in _NOT_COPIED:
            continue
        connection.execute(f'delete from {new}."{table}"')
        connection.execute(f'insert into {new}."{table}" by name select * from {old}."{table}"')
    connection.execute(f"update {new}.ducklake_metadata set value = {literal(data_path)} where key = 'data_path'")
