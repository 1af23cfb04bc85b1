"""The location of the warehouse, how a connection reaches it, and the errors if it cannot."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from activity_audit.base import faults
from activity_audit.base.faults import sentence_of
from activity_audit.base.masking import without_secrets
from activity_audit.base.sql_text import literal
from activity_audit.settings.core import Settings
from activity_audit.warehouse import extensions, home_record, home_version, move_marks
from activity_audit.warehouse.object_storage import open_storage

ALIAS = "audit"
NO_CATALOG = "creating a new DuckLake is explicitly disabled"
REMEDY = (
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


class NewerReleaseError(WarehouseError):
    """A newer release has written the warehouse, so that this one does not know what it has."""


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


def location(settings: Settings) -> Location:
    """Where the settings put the warehouse: by default a SQLite catalog and Parquet files in `$AUDIT_HOME`."""
    data_path = settings.data_root
    names = ["ducklake"]
    if _REMOTE.match(data_path) or settings.raw_dir is None or _REMOTE.match(settings.exchange_root):
        names.append("httpfs")
    if settings.catalog_file is None:
        dsn = postgres_dsn(settings)
        return Location(f"ducklake:postgres:{dsn}", _slash(data_path), (*names, "postgres_scanner"), "", None)
    # Write-ahead logging and a busy timeout let readers and the run go on beside each other.
    options = ", META_JOURNAL_MODE 'WAL', META_BUSY_TIMEOUT 30000"
    path = str(settings.catalog_file)
    return Location(f"ducklake:sqlite:{path}", _slash(data_path), (*names, "sqlite_scanner"), options, path)


def postgres_dsn(settings: Settings) -> str:
    """The connection string, or URL, of a catalog in PostgreSQL."""
    catalog = settings.catalog or ""
    return catalog if "://" in catalog else catalog.split(":", 1)[1]


def prepare(connection: duckdb.DuckDBPyConnection, where: Location) -> None:
    """Make a connection ready to attach the warehouse."""
    connection.execute("set global TimeZone = 'UTC'")
    # DuckDB draws a bar of its own where it takes the process for an interactive one.
    connection.execute("set enable_progress_bar = false")
    extensions.load(connection, where.extensions)
    open_storage(connection, where.data_path)
    # A snapshot's number is given once. DuckLake would go on and try the next one, on top of what it never looked at.
    connection.execute("set global ducklake_max_retry_count = 0")


def attach_at(connection: duckdb.DuckDBPyConnection, where: Location, options: str, *, is_move: bool = False) -> None:
    """Attach the warehouse that is there, with more options of DuckLake.

    Raises:
        WarehouseError: if it was moved away, or a move into it is not complete; the move itself may attach it.
        NewerReleaseError: if a newer release has written it.
    """
    connection.execute(
        f"attach {literal(where.catalog)} as {ALIAS} "
        f"(data_path {literal(where.data_path)}, override_data_path true{where.options}{options})"
    )
    if not is_move and (closed := move_marks.why_closed(connection, where.catalog)):
        connection.execute(f"detach {ALIAS}")
        raise WarehouseError(closed)
    if (found := home_version.of_warehouse(connection)) > home_version.VERSION:
        connection.execute(f"detach {ALIAS}")
        what = without_secrets(f"the warehouse of {where.catalog.removeprefix('ducklake:')}")
        raise NewerReleaseError(home_version.newer(what, found))


def unreachable(where: Location, error: Exception) -> WarehouseError:
    """What is to be said of a warehouse that DuckDB cannot reach."""
    if where.catalog_file:
        # A file of this machine: what is wrong with it, and what to do, is known by what SQLite says.
        text = f"'{Path(where.catalog_file).absolute()}' {error}"
        if said := faults.sentence("IOException", text, where.data_path):
            return WarehouseError(said)
    # The connection string may have a password, and DuckDB's message quotes it.
    message = f"the warehouse {where.catalog} in {where.data_path} cannot be reached: {error}"
    return WarehouseError(without_secrets(message))


def recorded_id(settings: Settings) -> str | None:
    """The id of the warehouse that this home has published into; None if it has not. Raises WarehouseError."""
    return _asked(settings, home_record.read)


def _asked(settings: Settings, question: Callable[[Settings], str | None]) -> str | None:
    try:
        return question(settings)
    except (OSError, ValueError) as error:
        raise WarehouseError(sentence_of(error, settings.home) or str(error)) from None


def why_unfinished(settings: Settings) -> str | None:
    """What is to be said if a backup is being restored into this home; None if not. Raises WarehouseError."""
    backup = _asked(settings, home_record.restoring)
    return backup and (
        f"the backup {backup} is being restored into this home, and not all of it is there: repeat the same "
        "`audit restore`"
    )


def why_lost(settings: Settings) -> str | None:
    """What is to be said if this home has published, and nothing is where it did; None if it has not."""
    if unfinished := why_unfinished(settings):
        return unfinished
    why = _asked(settings, home_record.why_lost)
    return why and without_secrets(f"{why}, and its catalog is not at {location(settings).catalog}: {REMEDY}")


def is_set_up(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a run has ever published: the views come with the first one, the tables may be there before it."""
    query = "select count(*) from duckdb_views() where database_name = ? and view_name = 'activity_audit_report'"
    return connection.execute(query, [ALIAS]).fetchall() == [(1,)]


def _slash(path: str) -> str:
    return path if path.endswith("/") else path + "/"
