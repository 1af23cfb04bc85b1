"""The raw lake as a whole: the store of its files, its index, and what else is kept with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from activity_audit.raw.database import INDEX_NAME, IndexDatabase, SqliteDatabase
from activity_audit.raw.index import RawIndex
from activity_audit.raw.notes import FileNotes, IndexNotes, Notes
from activity_audit.raw.object_store import ObjectStore
from activity_audit.raw.postgres import PostgresDatabase
from activity_audit.raw.store import LocalStore, RawStore
from activity_audit.settings.core import Settings
from activity_audit.warehouse.lake_location import postgres_dsn

_BESIDE_CATALOG = "raw-index"


@dataclass(frozen=True)
class RawLake:
    """A raw lake. `space` is a folder of this machine for files that are not whole yet, and for locks.

    A shared one may be used by other machines, which do not see this one's `space`; the index tells them what is about
    to be put into it.
    """

    store: RawStore
    index: RawIndex
    notes: Notes
    space: Path
    is_shared: bool = False


def local_lake(folder: Path) -> RawLake:
    """The raw lake in a folder of this machine, with all that belongs to it."""
    return RawLake(LocalStore(folder), RawIndex(SqliteDatabase(folder / INDEX_NAME)), FileNotes(folder), folder)


def raw_lake(settings: Settings) -> RawLake:
    """The raw lake that the settings name.

    The index of a shared one is with the catalog: in its database, or in a file beside the catalog's.
    """
    folder = settings.raw_dir
    if folder and (settings.raw_path is None or settings.catalog_file):
        return local_lake(folder)
    store: RawStore = LocalStore(folder) if folder else ObjectStore(settings.raw_root)
    database: IndexDatabase
    if settings.catalog_file:
        database = SqliteDatabase(settings.catalog_file.with_name(f"{settings.catalog_file.name}.{_BESIDE_CATALOG}"))
    else:
        database = PostgresDatabase(postgres_dsn(settings))
    notes = IndexNotes(database)
    return RawLake(store, RawIndex(database), notes, folder or settings.work_dir / "raw", is_shared=True)
