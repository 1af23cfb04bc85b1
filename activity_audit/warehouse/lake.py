"""The published warehouse: one DuckLake catalog, attached to DuckDB connections as `audit`.

Here it is read, now or as it once stood. `lake_writer` attaches it for writing, `lake_location` knows where it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from activity_audit.base.faults import damaged_data
from activity_audit.base.hours import parse_time
from activity_audit.base.sql_text import literal
from activity_audit.settings.core import Settings
from activity_audit.warehouse import extensions, spill
from activity_audit.warehouse.lake_location import (
    ALIAS,
    NO_CATALOG,
    LostCatalogueError,
    NothingPublishedError,
    WarehouseError,
    attach_at,
    is_set_up,
    location,
    prepare,
    unreachable,
    why_lost,
)
from activity_audit.warehouse.lake_location import NewerReleaseError as NewerReleaseError
from activity_audit.warehouse.lake_location import OlderReleaseError as OlderReleaseError
from activity_audit.warehouse.object_storage import ObjectStorageError

# What DuckLake says of a snapshot that is gone, and what is to be said of it.
_NO_SNAPSHOT = "No snapshot found at version"
_EXPIRED = "an upkeep expired the snapshot that was read, which is past AUDIT_SNAPSHOT_RETENTION; ask for a newer one"


@dataclass(frozen=True)
class Snapshot:
    """One state of the warehouse: its number and time in the catalog, and the newest run that it has."""

    snapshot_id: int
    taken_at: datetime
    run_id: str | None


def attach_read_only(connection: duckdb.DuckDBPyConnection, settings: Settings) -> bool:
    """Attach the warehouse as it is now, for reading; False where nothing is published yet."""
    try:
        require_published(settings)
    except NothingPublishedError:
        return False
    _attach(connection, settings, ", read_only")
    return True


def is_attached(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the connection has a database `audit`."""
    query = "select count(*) from duckdb_databases() where database_name = ?"
    return connection.execute(query, [ALIAS]).fetchall() == [(1,)]


def is_lake(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the attached `audit` is a DuckLake, and not a plain database that stands for an empty one."""
    query = "select type from duckdb_databases() where database_name = ?"
    return connection.execute(query, [ALIAS]).fetchall() == [("ducklake",)]


def _attach(connection: duckdb.DuckDBPyConnection, settings: Settings, options: str) -> None:
    where = location(settings)
    try:
        prepare(connection, where)
        attach_at(connection, where, options)
    except (duckdb.Error, extensions.ExtensionError, ObjectStorageError) as error:
        if NO_CATALOG in str(error):
            raise _nothing(settings) from None
        raise unreachable(where, error) from None


def cache_no_files(connection: duckdb.DuckDBPyConnection) -> None:
    """Have DuckDB keep nothing of the files that it reads, for work that reads each of very many files once or twice.

    It would copy at least 16 KB of each, however small, until the memory limit is reached.
    """
    connection.execute("set enable_external_file_cache = false")


@contextmanager
def reader(settings: Settings, at: str | None = None, *, pinned: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection whose current catalog is the warehouse, now or `at` a run id or time.

    A `pinned` one reads the snapshot that was the newest when it began, whatever is published meanwhile.

    Raises:
        NothingPublishedError: if no run has published anything yet.
        OlderReleaseError: if what the caller asks for is not there, because an older release published last.
        WarehouseError: if the warehouse cannot be reached, or has nothing at that point; also from the block, if
            a data file that it reads is damaged, or an upkeep expired the snapshot.
    """
    where = location(settings)
    if where.catalog_file and not Path(where.catalog_file).exists():
        raise _nothing(settings)
    connection = _open(settings)
    try:
        try:
            _attach(connection, settings, ", read_only")
            if not is_set_up(connection):
                raise _nothing(settings)
            if at is not None or pinned:
                version = newest_version(connection) if at is None else _version_at(connection, at)
                connection.execute(f"detach {ALIAS}")
                _attach(connection, settings, f", read_only, snapshot_version {version}")
                if not is_set_up(connection):
                    raise WarehouseError(f"the warehouse has no snapshot as old as {at}")
        except duckdb.Error as error:
            raise unreachable(where, error) from None
        connection.execute(f"use {ALIAS}")
        try:
            yield connection
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            from activity_audit.warehouse.older_release import explained

            raise explained(connection, error, is_newest=at is None) or error from None
        except duckdb.Error as error:
            if said := damaged_data(error) or (_EXPIRED if _NO_SNAPSHOT in str(error) else None):
                raise WarehouseError(said) from error
            raise
    finally:
        connection.close()


def require_published(settings: Settings) -> None:
    """Refuse to go on where no run has published anything yet; for errors see `reader`."""
    with reader(settings):
        pass


def open_reader(
    settings: Settings, snapshot_id: int | None = None, memory_limit: str | None = None
) -> duckdb.DuckDBPyConnection:
    """A read-only connection, for longer than one block; the caller closes it.

    It sees the snapshot of this number for ever, or without one whatever is published. Its DuckDB may use all of
    AUDIT_MEMORY_LIMIT, or as much as `memory_limit` says.

    Raises:
        NothingPublishedError: if no run has published anything yet.
        WarehouseError: if the warehouse cannot be reached, or has no such snapshot.
    """
    where = location(settings)
    if where.catalog_file and not Path(where.catalog_file).exists():
        raise _nothing(settings)
    connection = _open(settings, memory_limit)
    try:
        version = "" if snapshot_id is None else f", snapshot_version {snapshot_id:d}"
        _attach(connection, settings, f", read_only{version}")
        if not is_set_up(connection):
            raise _nothing(settings)
    except BaseException:
        connection.close()
        raise
    return connection


def _open(settings: Settings, memory_limit: str | None = None) -> duckdb.DuckDBPyConnection:
    limit = memory_limit or settings.memory_limit
    return extensions.connect(memory_limit=limit, temp_directory=str(spill.folder_of_one(settings)))


def _nothing(settings: Settings) -> WarehouseError:
    """What is to be said where nothing is published: that it is lost, or that it has to be published."""
    if lost := why_lost(settings):
        return LostCatalogueError(lost)
    return NothingPublishedError(f"nothing is published in {settings.home} yet; start with `audit run`")


def lock_down(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Leave a reader connection nothing but the warehouse: no other files, no network, no settings."""
    where = location(settings)
    allowed = [where.data_path, *([where.catalog_file] if where.catalog_file else [])]
    listed = ", ".join(literal(path) for path in allowed)
    files = (
        [f"{where.catalog_file}{suffix}" for suffix in ("", "-wal", "-shm", "-journal")] if where.catalog_file else []
    )
    connection.execute(f"set allowed_directories = [{listed}]")
    connection.execute(f"set allowed_paths = [{', '.join(map(literal, files))}]")
    # A name that is no table's would be looked up among the variables of the Python code that asks.
    connection.execute("set python_enable_replacements = false")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def newest_version(connection: duckdb.DuckDBPyConnection) -> int:
    """The number of the newest snapshot that a reader which is not pinned has."""
    return connection.execute(f"select max(snapshot_id) from {ALIAS}.snapshots()").fetchall()[0][0]


def _version_at(connection: duckdb.DuckDBPyConnection, at: str) -> int:
    by_run = connection.execute(
        f"select max(snapshot_id) from {ALIAS}.snapshots() where commit_message = ?", [at]
    ).fetchone()
    if by_run and by_run[0] is not None:
        return by_run[0]
    try:
        time = parse_time(at)
    except ValueError:
        raise WarehouseError(
            f"{at!r} names no snapshot: it is neither an ISO 8601 time nor a run id that is still kept"
        ) from None
    found = connection.execute(
        f"select max(snapshot_id) from {ALIAS}.snapshots() where snapshot_time <= ?", [time]
    ).fetchone()
    if not found or found[0] is None:
        raise WarehouseError(f"the warehouse has no snapshot as old as {at}")
    return found[0]


def snapshot(connection: duckdb.DuckDBPyConnection) -> Snapshot:
    """Which snapshot a pinned reader reads."""
    row = connection.execute(f"""
        select
            snapshot_id,
            snapshot_time,
            (select max_by(run_id, rowid) from {ALIAS}.quality.pipeline_run)
        from {ALIAS}.snapshots() where snapshot_id = (select id from {ALIAS}.current_snapshot())
    """).fetchall()[0]
    return Snapshot(*row)


def has_table(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    """Whether the attached warehouse has a table; one that an earlier release published last lacks the newer ones."""
    query = "select count(*) from duckdb_tables() where database_name = ? and schema_name = ? and table_name = ?"
    return connection.execute(query, [ALIAS, schema, table]).fetchall() == [(1,)]


def data_files(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[tuple[str, int]]:
    """The path and the size in bytes of every data file that a table has in the snapshot that is attached."""
    return connection.execute(
        "select data_file, data_file_size_bytes from ducklake_list_files(?, ?, schema => ?)", [ALIAS, table, schema]
    ).fetchall()


def rows(connection: duckdb.DuckDBPyConnection, query: str, arguments: Any = None) -> list[dict[str, Any]]:
    """The result of a query as a list of dictionaries."""
    cursor = connection.execute(query, arguments) if arguments else connection.execute(query)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
