"""Makes a home of a backup: all files first, each compared with its hash, and the catalog last.

Until the catalog is there, the record of the home says that a restore is under way, and every command refuses. So a
restore that was killed, or met a damaged file, leaves nothing that passes for a warehouse; repeated, it goes on.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb

from activity_audit.base import files
from activity_audit.base.hours import now_utc
from activity_audit.base.masking import without_secrets
from activity_audit.base.storage_paths import local_path
from activity_audit.raw.database import SqliteDatabase
from activity_audit.raw.files import found_deliveries, found_manifests
from activity_audit.raw.index import RawIndex
from activity_audit.raw.lake import RawLake, raw_lake
from activity_audit.raw.store import RawStore
from activity_audit.settings.core import Settings
from activity_audit.upkeep import move_raw
from activity_audit.upkeep.backup import place as places
from activity_audit.upkeep.backup.place import DATA, RAW, Backup, BackupError, Place, digest_of
from activity_audit.upkeep.catalogs import attached, attached_lake, connected, copy_rows, is_file_missing, own_tables
from activity_audit.upkeep.copying import copy, store_at
from activity_audit.warehouse import data_folder, home_record, move_marks
from activity_audit.warehouse.lake_catalog import CATALOG
from activity_audit.warehouse.lake_location import Location, location
from activity_audit.warehouse.run_lock import OnStage, exclusive
from activity_audit.warehouse.transactions import in_transaction

_OLD, _NEW = "backup", "restored"
_BEFORE = ".before-"
# The ends of the names of a catalog's files: it, the index and the book of alerts beside it, and SQLite's logs of each.
_OF_CATALOG = tuple(f"{one}{log}" for one in ("", ".raw-index", ".alerts") for log in ("", "-wal", "-shm", "-journal"))
_MOST_NAMED = 20


@dataclass(frozen=True)
class Restored:
    """The backup that a home was made of, and where what had been there is now."""

    backup: Backup
    moved_aside: list[str]


def restore(
    settings: Settings, wanted: str | None = None, *, move_aside: bool = False, progress: OnStage = lambda _: None
) -> Restored:
    """Make the home, the warehouse and the raw lake of these settings from a backup in AUDIT_BACKUP_TO.

    It is the newest, or that of the id `wanted`. What is there already is moved aside if that is asked for.

    Raises:
        BackupError: if the backup is damaged, or there is something already; nothing is written over.
        WarehouseBusyError: if a run held the home for too long.
        WarehouseError: if a place cannot be reached.
        OSError, FaultError: if something cannot be read or written.
    """
    with exclusive(settings, progress), places.opened(settings) as place:
        backup = place.backup(wanted)
        hashes = place.hashes(backup)
        parts = {name: place.part(backup, name) for name in backup.parts if name != places.FILES}
        where, raw = location(settings), raw_lake(settings)
        with connected(settings, where, _packed_catalog(where, place)) as connection:
            to = [without_secrets(place) for place in (where.catalog, where.data_path, raw.store.shown(""))]
            if _ended(connection, settings, where, to) == backup.id:
                return Restored(backup, [])
            aside: list[str] = []
            if not _is_under_way(connection, settings, where, to) and (
                found := _what_is_there(connection, settings, raw)
            ):
                if not move_aside:
                    raise BackupError(
                        f"{found} is there already, and nothing is written over it: name another AUDIT_HOME (and "
                        "AUDIT_CATALOG, AUDIT_DATA_PATH, AUDIT_RAW_PATH), or say --move-aside to keep it beside"
                    )
                aside = _move_aside(settings, found)
            home_record.write(settings, backup.warehouse_id, restoring=backup.id, to=to)
            progress("copying the files")
            _restore_files(place, settings, raw, hashes)
            data_folder.mark(connection, where.data_path, backup.warehouse_id)
            _unpack(parts[places.INDEX], place.space / "index.sqlite")
            move_raw.copy_index(RawIndex(SqliteDatabase(place.space / "index.sqlite")), raw.index, is_complete=False)
            for name, text in json.loads(parts[places.NOTES].read_text(encoding="utf-8")).items():
                move_raw.note(raw, name, text)
            # What was landed while the backup was made is in the files alone.
            raw.index.set_complete(found_deliveries(raw.store), found_manifests(raw.store))
            with tarfile.open(parts[places.HOME]) as archive:
                archive.extractall(settings.home, filter="data")
            progress("copying the catalog")
            _restore_catalog(connection, where, parts[places.CATALOG], place, backup)
        home_record.write(settings, backup.warehouse_id)
        return Restored(backup, aside)


def _what_is_there(connection: duckdb.DuckDBPyConnection, settings: Settings, raw: RawLake) -> str | None:
    where = location(settings)
    if home_record.path(settings).exists():
        return f"a home ({home_record.path(settings)})"
    if where.catalog_file:
        if found := _catalog_files(where.catalog_file):
            return f"a catalog ({found[0]})"
    elif _catalog(connection, where, "") != "none":
        return f"a catalog ({without_secrets(where.catalog.removeprefix('ducklake:'))})"
    stores = {"data": store_at(where.data_path, "AUDIT_DATA_PATH").sizes(), "raw files": move_raw.sizes(raw)}
    if there := next((f"{what} ({min(sizes)})" for what, sizes in stores.items() if sizes), None):
        return there
    # A backup has these, too.
    kept = [path for path in (settings.own_feeds_dir, settings.saved_file, settings.deliveries_file) if path.exists()]
    return f"what a home keeps ({kept[0]})" if kept else None


def _catalog_files(catalog: str) -> list[Path]:
    """The files of a catalog that are there: SQLite would read a log beside it as a part of it."""
    return [path for suffix in _OF_CATALOG if (path := Path(f"{catalog}{suffix}")).exists()]


def _catalog(connection: duckdb.DuckDBPyConnection, where: Location, warehouse: str) -> str:
    """What is in the place of the catalog: `none`, `begun` by a restore, the `restored` warehouse, or some `other`."""
    if is_file_missing(where):
        return "none"
    with attached(connection, where, _NEW):
        if not own_tables(connection, _NEW):
            return "other" if where.catalog_file else "none"
        if mark := move_marks.read(connection, _NEW):
            return "begun" if "restore" in mark else "other"
        rows = connection.execute(f"select schema_uuid from {_NEW}.ducklake_schema where schema_id = 0").fetchall()
        if [(str(found),) for (found,) in rows] == [(warehouse,)]:
            return "restored"
        has_tables = connection.execute(f"select 1 from {_NEW}.ducklake_table limit 1").fetchone() is not None
    # A file gets its name when all of it is there; a database may have been left before it was marked.
    return "other" if where.catalog_file or has_tables else "begun"


def _is_under_way(
    connection: duckdb.DuckDBPyConnection, settings: Settings, where: Location, to: Sequence[str]
) -> bool:
    """Whether a restore to these very places was interrupted, so that what is there is of it."""
    if home_record.restoring(settings) is None or home_record.restoring_to(settings) != list(to):
        return False
    return _catalog(connection, where, str(home_record.read(settings))) in ("none", "begun")


def _ended(connection: duckdb.DuckDBPyConnection, settings: Settings, where: Location, to: Sequence[str]) -> str | None:
    """Have a restore be over that was killed when the catalog was there already; the id of its backup."""
    known = home_record.restoring(settings)
    if known is None or home_record.restoring_to(settings) != list(to):
        return None
    warehouse = str(home_record.read(settings))
    if _catalog(connection, where, warehouse) != "restored":
        return None
    home_record.write(settings, warehouse)
    return known


def _move_aside(settings: Settings, found: str) -> list[str]:
    """Rename what is there; the new names."""
    where = location(settings)
    data, raw = local_path(where.data_path), settings.raw_dir
    if where.catalog_file is None or data is None or raw is None:
        raise BackupError(
            f"{found} is there already, and only a home on this machine can be moved aside: name an empty database, "
            "and prefixes of buckets that hold nothing"
        )
    paths = [data, raw, *_catalog_files(where.catalog_file), settings.key_index_dir, settings.own_feeds_dir]
    # The record last, so that one that was killed is not taken for a new home.
    deliveries = settings.report_dir.glob(f"{settings.deliveries_file.name}*")
    paths += [path for path in deliveries if _BEFORE not in path.name]
    paths += [settings.saved_file, home_record.path(settings)]
    suffix = f"{_BEFORE}{now_utc():%Y%m%dT%H%M%SZ}"
    moved = []
    for path in paths:
        if path.exists():
            moved.append(str(path.rename(path.with_name(f"{path.name}{suffix}"))))
            files.sync(path.parent)
    return moved


def _restore_files(place: Place, settings: Settings, raw: RawLake, hashes: Mapping[str, str]) -> None:
    """Have exactly the files of a backup in the data folder and the raw lake.

    Raises:
        BackupError: naming the files that are damaged or missing in the backup; they are not kept.
    """
    where = location(settings)
    data = store_at(where.data_path, "AUDIT_DATA_PATH")
    wrong: list[str] = []
    spaces = {DATA: local_path(where.data_path) or settings.work_dir, RAW: raw.space}
    for folder, store, there in ((DATA, data, data.sizes()), (RAW, raw.store, move_raw.sizes(raw))):
        names = {name.removeprefix(folder) for name in hashes if name.startswith(folder)}
        # A restore of another backup that was given up has left these.
        store.delete([name for name in there if name not in names])
        held = place.store.sizes()
        lost = {name for name in names if f"{folder}{name}" not in held}
        # A killed one has put whole files alone; what somebody did to them since shows in their size, or in `verify`.
        torn = [name for name in names & there.keys() if there[name] != held.get(f"{folder}{name}")]
        store.delete(torn)
        missing = names - lost - (there.keys() - set(torn))
        bad = _copy(place, folder, store, missing, hashes, spaces[folder])
        store.delete(bad)
        wrong += [place.store.shown(f"{folder}{name}") for name in sorted({*lost, *bad})]
    if wrong:
        others = f", and {len(wrong) - _MOST_NAMED} others" if len(wrong) > _MOST_NAMED else ""
        raise BackupError(
            f"the backup is damaged, and nothing can be read of what was restored: {', '.join(wrong[:_MOST_NAMED])}"
            f"{others}. Repeat the command with another backup (`audit backup --list`), or put these files back "
            "from another copy of this place"
        )


def _copy(
    place: Place, folder: str, store: RawStore, names: Collection[str], hashes: Mapping[str, str], space: Path
) -> list[str]:
    """Copy files from a backup; the names of those that are not as they were backed up."""
    wrong: list[str] = []

    def look(name: str, path: Path) -> None:
        if digest_of(path) != hashes[name]:
            wrong.append(name.removeprefix(folder))

    space.mkdir(parents=True, exist_ok=True)
    copy(place.store, store, ((f"{folder}{name}", name) for name in sorted(names)), space, look)
    return wrong


def _packed_catalog(where: Location, place: Place) -> Location:
    """The catalog of a backup, unpacked in scratch space."""
    path = place.space / "catalog.sqlite"
    names = ("sqlite_scanner", *(name for name in where.extensions if name != "sqlite_scanner"))
    return Location(f"ducklake:sqlite:{path}", where.data_path, names, "", str(path))


def _unpack(packed: Path, path: Path) -> None:
    with gzip.open(packed, "rb") as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
    files.sync(path)


def _restore_catalog(
    connection: duckdb.DuckDBPyConnection, where: Location, packed: Path, place: Place, backup: Backup
) -> None:
    """Put the catalog in its place at once, which makes the home one."""
    if where.catalog_file:
        target = Path(where.catalog_file)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.restoring")
        _unpack(packed, temporary)
        with closing(sqlite3.connect(temporary)) as catalog:
            with catalog:
                catalog.execute("update ducklake_metadata set value = ? where key = 'data_path'", [where.data_path])
            # Who only reads it cannot turn it into one with a write-ahead log.
            catalog.execute("pragma journal_mode = wal")
        files.sync(temporary)
        temporary.replace(target)
        files.sync(target.parent)
        return
    copied = _packed_catalog(where, place)
    _unpack(packed, Path(str(copied.catalog_file)))
    with attached_lake(connection, where):
        move_marks.write(connection, CATALOG, {"restore": backup.id})
    with attached(connection, copied, _OLD), attached(connection, where, _NEW), in_transaction(connection):
        # The mark of the restore is a row of the catalog, and goes with the others.
        copy_rows(connection, _OLD, _NEW, where.data_path)
