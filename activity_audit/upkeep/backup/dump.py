"""Writes the parts of a backup into files of this machine: the catalog, the index, the notes, the files of the home."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activity_audit.base.masking import without_secrets
from activity_audit.ingest.planning import own_journal
from activity_audit.ledger import ledger
from activity_audit.raw.database import SqliteDatabase
from activity_audit.raw.index import RawIndex
from activity_audit.raw.lake import RawLake
from activity_audit.settings import environment
from activity_audit.settings.core import VARIABLES, Settings
from activity_audit.upkeep import move_raw
from activity_audit.upkeep.backup import place as places
from activity_audit.upkeep.backup.place import Place
from activity_audit.upkeep.catalogs import (
    attached,
    attached_lake,
    connected,
    copy_rows,
    files_of,
    require_rows_in_files,
)
from activity_audit.warehouse import home_version, lake
from activity_audit.warehouse.lake_catalog import warehouse_id
from activity_audit.warehouse.lake_location import Location, location
from activity_audit.warehouse.transactions import in_transaction

_OLD, _NEW = "backed_up", "backup"
_QUICK = 1
_CATALOG = "catalog.sqlite"


@dataclass(frozen=True)
class State:
    """The warehouse at the snapshot of a backup: its version, its data files, and what tells it from others."""

    files: list[str]
    warehouse_id: str
    snapshot_id: int
    run_id: str | None
    ledger_head: str | None
    version: int


def catalog(place: Place, settings: Settings) -> Path:
    """The catalog as it is at one moment, packed; `state` says what it has."""
    return _packed(place, _CATALOG, lambda path: _copy_catalog(settings, path))


def index(place: Place, raw: RawLake) -> Path:
    """The index of the raw lake, packed. It does not count as complete, because landing goes on."""
    return _packed(place, "index.sqlite", lambda path: _copy_index(raw, path))


def _packed(place: Place, name: str, write: Callable[[Path], None]) -> Path:
    path, packed = place.space / name, place.space / f"{name}.gz"
    path.unlink(missing_ok=True)
    write(path)
    with path.open("rb") as source, gzip.open(packed, "wb", compresslevel=_QUICK) as target:
        shutil.copyfileobj(source, target)
    return packed


def _file(settings: Settings, path: Path) -> Location:
    """The warehouse as a catalog in this file has it; its data stay where they are."""
    own = location(settings)
    names = ("sqlite_scanner", *(name for name in own.extensions if name != "postgres_scanner"))
    return Location(f"ducklake:sqlite:{path}", own.data_path, tuple(dict.fromkeys(names)), "", str(path))


def _copy_catalog(settings: Settings, path: Path) -> None:
    """Make a catalog in a file of the one that is there, as it is at one moment."""
    own = location(settings)
    if own.catalog_file:
        copy_sqlite(Path(own.catalog_file), path)
        return
    copied = _file(settings, path)
    with connected(settings, own, copied) as connection:
        with attached_lake(connection, own, is_move=False):
            require_rows_in_files(connection)
        with attached_lake(connection, copied):
            pass
        with attached(connection, own, _OLD), attached(connection, copied, _NEW), in_transaction(connection):
            copy_rows(connection, _OLD, _NEW, own.data_path)


def copy_sqlite(database: Path, copied: Path) -> None:
    """Copy a database as it is at one moment, while others may write to it."""
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copied)) as target:
        source.backup(target)
        # Where there is no other reader, a file needs no second one beside it.
        target.execute("pragma journal_mode = delete")


def state(place: Place, settings: Settings) -> State:
    """The warehouse as the catalog has it that was written last."""
    copied = _file(settings, place.space / _CATALOG)
    with connected(settings, copied) as connection, attached_lake(connection, copied, is_move=False):
        files = files_of(connection, copied.data_path)
        connection.execute("use audit")
        snapshot = lake.snapshot(connection)
        head = ledger.newest(connection) if ledger.is_there(connection) else None
        connection.execute("use memory")
        return State(
            files,
            warehouse_id(connection),
            snapshot.snapshot_id,
            snapshot.run_id,
            head.entry_sha256 if head else None,
            home_version.of_warehouse(connection),
        )


def _copy_index(raw: RawLake, path: Path) -> None:
    """Copy the index to a file."""
    move_raw.copy_index(raw.index, RawIndex(SqliteDatabase(path)), is_complete=False)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("pragma journal_mode = delete")


def notes(place: Place, raw: RawLake) -> Path:
    """What is noted with the raw lake."""
    path = place.space / places.NOTES
    path.write_text(json.dumps(move_raw.read_notes(raw.notes)), encoding="utf-8")
    return path


def home(place: Place, settings: Settings) -> Path:
    """What else a home keeps: the feeds that the product itself makes, named reports, and the book of deliveries."""
    path = place.space / places.HOME
    with tarfile.open(path, "w:gz", compresslevel=_QUICK) as archive:
        if settings.own_feeds_dir.is_dir():
            with own_journal(settings).locked():
                archive.add(settings.own_feeds_dir, settings.own_feeds_dir.name, filter=_without_locks)
        if settings.saved_file.exists():
            archive.add(settings.saved_file, f"{settings.report_dir.name}/{settings.saved_file.name}")
        if settings.deliveries_file.exists():
            copied = place.space / settings.deliveries_file.name
            copied.unlink(missing_ok=True)
            copy_sqlite(settings.deliveries_file, copied)
            archive.add(copied, f"{settings.report_dir.name}/{copied.name}")
    return path


def _without_locks(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.name.endswith(".lock") else member


def given_settings() -> dict[str, str]:
    """The settings of this process for a person who makes the home again, by their variables and without secrets."""
    found = environment.values(VARIABLES)
    values = {
        variable: found.get(path[0]) if len(path) == 1 else found.get(path[0], {}).get(path[-1])
        for variable, path in VARIABLES.items()
        if not _is_secret(path)
    }
    return {name: without_secrets(value) for name, value in values.items() if value is not None}


def _is_secret(path: tuple[str, ...]) -> bool:
    model: Any = Settings
    for name in path:
        model = model.model_fields[name].annotation
    return "SecretStr" in str(model)
