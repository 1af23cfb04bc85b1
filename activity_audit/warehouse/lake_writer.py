"""Attaches the warehouse for writing: creates it if there never was one, and refuses another one."""

from __future__ import annotations

from pathlib import Path
from time import sleep

import duckdb

from activity_audit.settings.core import Settings
from activity_audit.warehouse import data_folder, extensions, home_record, home_version
from activity_audit.warehouse.data_folder import DataFolderError
from activity_audit.warehouse.lake_catalog import keep_transactions_whole, warehouse_id
from activity_audit.warehouse.lake_location import (
    ALIAS,
    NO_CATALOG,
    REMEDY,
    Location,
    LostCatalogueError,
    WarehouseError,
    attach_at,
    is_set_up,
    location,
    prepare,
    recorded_id,
    unreachable,
    why_lost,
)
from activity_audit.warehouse.object_storage import ObjectStorageError

# How often a catalog is opened that another process is making, and how long, in seconds, it waits before the next time.
_ATTEMPTS = 5
_PAUSE = 0.5


def attach(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Attach the warehouse for writing, creating its catalog where there never was one.

    Raises:
        LostCatalogueError: if this home has published, and the catalog is gone or another one.
        WarehouseError: if it cannot be reached, or its data folder is not its own.
    """
    where = location(settings)
    if where.catalog_file:
        (settings.home / "warehouse").mkdir(parents=True, exist_ok=True)
    for _ in range(_ATTEMPTS - 1):
        try:
            return _attach_own(connection, settings, where)
        except _MadeMeanwhileError:
            sleep(_PAUSE)
    return _attach_own(connection, settings, where)


class _MadeMeanwhileError(WarehouseError):
    """Another process made the same catalog at this moment, and has it made when this one looks again."""


def _attach_own(connection: duckdb.DuckDBPyConnection, settings: Settings, where: Location) -> None:
    try:
        prepare(connection, where)
        if _is_there(connection, where):
            _require_known(connection, settings, where)
            return _keep_whole(connection, where)
        if lost := why_lost(settings):
            raise LostCatalogueError(lost)
        if where.catalog_file:
            Path(where.catalog_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            data_folder.require_empty(connection, where.data_path)
            attach_at(connection, where, "")
        except (duckdb.Error, DataFolderError) as error:
            if "Failed to initialize DuckLake" in str(error) or _is_there(connection, where):
                connection.execute(f"detach database if exists {ALIAS}")
                raise _MadeMeanwhileError(str(unreachable(where, error))) from None
            raise
        data_folder.mark(connection, where.data_path, warehouse_id(connection))
        _keep_whole(connection, where)
    except (duckdb.Error, extensions.ExtensionError, ObjectStorageError, OSError) as error:
        raise unreachable(where, error) from None
    except DataFolderError as error:
        raise WarehouseError(str(error)) from None


def _keep_whole(connection: duckdb.DuckDBPyConnection, where: Location) -> None:
    if where.catalog_file:
        keep_transactions_whole(connection)


def _is_there(connection: duckdb.DuckDBPyConnection, where: Location) -> bool:
    """Whether there is a catalog; it is attached then."""
    # DuckDB would make the file to look into it.
    if where.catalog_file and not Path(where.catalog_file).exists():
        return False
    try:
        attach_at(connection, where, ", create_if_not_exists false")
    except duckdb.Error as error:
        if NO_CATALOG in str(error):
            return False
        raise
    return True


def _require_known(connection: duckdb.DuckDBPyConnection, settings: Settings, where: Location) -> None:
    """Let go of the warehouse if it is not the one that this home publishes into, or its data folder is not its own."""
    try:
        own = warehouse_id(connection)
        known = recorded_id(settings)
        if known not in (own, None):
            raise LostCatalogueError(
                f"the catalog {where.catalog} belongs to the warehouse {own}, but {home_record.path(settings)} "
                f"says that this home publishes into {known}: check AUDIT_CATALOG, or {REMEDY}"
            )
        data_folder.require_own(connection, where.data_path, own)
        remember(connection, settings)
    except BaseException:
        connection.execute(f"detach {ALIAS}")
        raise


def remember(connection: duckdb.DuckDBPyConnection, settings: Settings, version: int = home_version.UNRECORDED) -> None:
    """Keep in the home that it has published, once it has, and its version; the connection has `audit` attached."""
    if recorded_id(settings) is None and is_set_up(connection):
        home_record.write(settings, warehouse_id(connection))
        home_record.set_version(settings, version)
