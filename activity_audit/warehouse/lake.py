"""The published warehouse: one DuckLake catalog, attached to DuckDB connections as `audit`.

How the catalog is found, attached, read-only or for writing, now or as it once stood, is decided here only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any

from activity_audit.base import faults
from activity_audit.base.faults import sentence_of
from activity_audit.base.hours import parse_time
from activity_audit.base.masking import without_secrets
from activity_audit.base.sql_text import literal
from activity_audit.settings.core import Settings
from activity_audit.warehouse import data_folder, extensions, home_record, spill
from activity_audit.warehouse.data_folder import DataFolderError
from activity_audit.warehouse.lake_catalog import warehouse_id
from activity_audit.warehouse.object_storage import ObjectStorageError, open_storage

if TYPE_CHECKING:
    import duckdb

ALIAS = "audit"
# How often a catalog is opened that another process is making, and how long, in seconds, it waits before the next time.
_ATTEMPTS = 5
_PAUSE = 0.5
_NO_CATALOG = "creating a new DuckLake is explicitly disabled"
_REMEDY = (
    "restore the catalog from a backup; or, to rebuild the warehouse from raw/ with a new ledger, move aside what the "
    "old one left (docs/operations.md, Rebuild)"
)
_REMOTE = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class WarehouseError(RuntimeError):
    """The warehouse cannot be used as asked; the message says why and what to do."""


class NothingPublishedError(WarehouseError):
    """There is no warehouse yet: no run has published anything here."""


class LostCatalogueError(WarehouseError):
    """There was a warehouse, and its catalog is not where it was."""


class OlderReleaseError(WarehouseError):
    """An older release published last, and the warehouse lacks what is asked for; a run adds it."""


@dataclass(frozen=True)
class Location:
    """Where a warehouse is: its DuckLake catalog, as an ATTACH path, and its data files."""

    catalog: str
    data_path: str
    extensions: tuple[str, ...]
    options: str
    catalog_file: str | None


@dataclass(frozen=True)
class Snapshot:
    """One state of the warehouse: its number and time in the catalog, and the newest run that it has."""

    snapshot_id: int
    taken_at: datetime
    run_id: str | None


def location(settings: Settings) -> Location:
    """Where the settings put the warehouse: by default a SQLite catalog and Parquet files in `$AUDIT_HOME`."""
    data_path = settings.data_root
    names = ["ducklake"]
    if _REMOTE.match(data_path):
        names.append("httpfs")
    if settings.catalog_file is None:
        catalog = settings.catalog or ""
        dsn = catalog if "://" in catalog else catalog.split(":", 1)[1]
        return Location(f"ducklake:postgres:{dsn}", _slash(data_path), (*names, "postgres_scanner"), "", None)
    # Write-ahead logging and a busy timeout let readers and the run go on beside each other.
    options = ", META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT 30000"
    path = str(settings.catalog_file)
    return Location(f"ducklake:sqlite:{path}", _slash(data_path), (*names, "sqlite_scanner"), options, path)


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
    import duckdb

    try:
        _prepare(connection, where)
        if _is_there(connection, where):
            return _require_known(connection, settings, where)
        if lost := _why_lost(settings):
            raise LostCatalogueError(lost)
        if where.catalog_file:
            Path(where.catalog_file).parent.mkdir(parents=True, exist_ok=True)
        try:
            data_folder.require_empty(connection, where.data_path)
            _attach_at(connection, where, "")
        except (duckdb.Error, DataFolderError) as error:
            if "Failed to initialize DuckLake" in str(error) or _is_there(connection, where):
                connection.execute(f"detach database if exists {ALIAS}")
                raise _MadeMeanwhileError(str(_unreachable(where, error))) from None
            raise
        data_folder.mark(connection, where.data_path, warehouse_id(connection))
    except (duckdb.Error, extensions.ExtensionError, ObjectStorageError, OSError) as error:
        raise _unreachable(where, error) from None
    except DataFolderError as error:
        raise WarehouseError(str(error)) from None


def _is_there(connection: duckdb.DuckDBPyConnection, where: Location) -> bool:
    """Whether there is a catalog; it is attached then."""
    import duckdb

    # DuckDB would make the file to look into it.
    if where.catalog_file and not Path(where.catalog_file).exists():
        return False
    try:
        _attach_at(connection, where, ", create_if_not_exists false")
    except duckdb.Error as error:
        if _NO_CATALOG in str(error):
            return False
        raise
    return True


def _require_known(connection: duckdb.DuckDBPyConnection, settings: Settings, where: Location) -> None:
    """Let go of the warehouse if it is not the one that this home publishes into, or its data folder is not its own."""
    try:
        own = warehouse_id(connection)
        known = _recorded(settings)
        if known not in (own, None):
            raise LostCatalogueError(
                f"the catalog {where.catalog} belongs to the warehouse {own}, but {home_record.path(settings)} "
                f"says that this home publishes into {known}: check AUDIT_CATALOG, or {_REMEDY}"
            )
        data_folder.require_own(connection, where.data_path, own)
        remember(connection, settings)
    except BaseException:
        connection.execute(f"detach {ALIAS}")
        raise


def remember(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Keep in the home that it has published, once it has; the connection has `audit` attached."""
    if _recorded(settings) is None and _is_set_up(connection):
        home_record.write(settings, warehouse_id(connection))


def _recorded(settings: Settings) -> str | None:
    try:
        return home_record.read(settings)
    except (OSError, ValueError) as error:
        raise WarehouseError(sentence_of(error, settings.home) or str(error)) from None


def _why_lost(settings: Settings) -> str | None:
    try:
        why = home_record.why_lost(settings)
    except (OSError, ValueError) as error:
        raise WarehouseError(sentence_of(error, settings.home) or str(error)) from None
    return why and without_secrets(f"{why}, and its catalog is not at {location(settings).catalog}: {_REMEDY}")


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
    import duckdb

    where = location(settings)
    try:
        _prepare(connection, where)
        _attach_at(connection, where, options)
    except (duckdb.Error, extensions.ExtensionError, ObjectStorageError) as error:
        if _NO_CATALOG in str(error):
            raise _nothing(settings) from None
        raise _unreachable(where, error) from None


def _unreachable(where: Location, error: Exception) -> WarehouseError:
    if where.catalog_file:
        # A file of this machine: what is wrong with it, and what to do, is known by what SQLite says.
        text = f"'{Path(where.catalog_file).absolute()}' {error}"
        if said := faults.sentence("IOException", text, where.data_path):
            return WarehouseError(said)
    # The connection string may have a password, and DuckDB's message quotes it.
    message = f"the warehouse {where.catalog} in {where.data_path} cannot be reached: {error}"
    return WarehouseError(without_secrets(message))


def _prepare(connection: duckdb.DuckDBPyConnection, where: Location) -> None:
    connection.execute("set global TimeZone = 'UTC'")
    # DuckDB draws a bar of its own where it takes the process for an interactive one.
    connection.execute("set enable_progress_bar = false")
    extensions.load(connection, where.extensions)
    open_storage(connection, where.data_path)
    # A snapshot's number is given once. DuckLake would go on and try the next one, on top of what it never looked at.
    connection.execute("set global ducklake_max_retry_count = 0")


def _attach_at(connection: duckdb.DuckDBPyConnection, where: Location, options: str) -> None:
    connection.execute(
        f"attach {literal(where.catalog)} as {ALIAS} "
        f"(data_path {literal(where.data_path)}, override_data_path true{where.options}{options})"
    )


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
        WarehouseError: if the warehouse cannot be reached, or has nothing at that point.
    """
    import duckdb

    where = location(settings)
    if where.catalog_file and not Path(where.catalog_file).exists():
        raise _nothing(settings)
    connection = _open(settings)
    try:
        try:
            _attach(connection, settings, ", read_only")
            if not _is_set_up(connection):
                raise _nothing(settings)
            if at is not None or pinned:
                version = newest_version(connection) if at is None else _version_at(connection, at)
                connection.execute(f"detach {ALIAS}")
                _attach(connection, settings, f", read_only, snapshot_version {version}")
                if not _is_set_up(connection):
                    raise WarehouseError(f"the warehouse has no snapshot as old as {at}")
        except duckdb.Error as error:
            raise _unreachable(where, error) from None
        connection.execute(f"use {ALIAS}")
        try:
            yield connection
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            from activity_audit.warehouse.older_release import explained

            raise explained(connection, error, is_newest=at is None) or error from None
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
        if not _is_set_up(connection):
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
    if lost := _why_lost(settings):
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


def _is_set_up(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a run has ever published: the views come with the first one, the tables may be there before it."""
    query = "select count(*) from duckdb_views() where database_name = ? and view_name = 'activity_audit_report'"
    return connection.execute(query, [ALIAS]).fetchall() == [(1,)]


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
            (select max_by(run_id, started_at_utc) from {ALIAS}.quality.pipeline_run)
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


def _slash(path: str) -> str:
    return path if path.endswith("/") else path + "/"
