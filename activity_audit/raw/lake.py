"""The raw lake as a whole: the store of its files, its index, and what else is kept with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from activity_audit.raw.database import INDEX_NAME, SqliteDatabase
from activity_audit.raw.index import RawIndex
from activity_audit.raw.notes import FileNotes, Notes
from activity_audit.raw.store import LocalStore, RawStore
from activity_audit.settings.core import Settings


@dataclass(frozen=True)
class RawLake:
    """A raw lake. `space` is a folder of this machine for files that are not whole yet, and for locks."""

    store: RawStore
    index: RawIndex
    notes: Notes
    space: Path


def local_lake(folder: Path) -> RawLake:
    """The raw lake in a folder of this machine, with all that belongs to it."""
    return RawLake(LocalStore(folder), RawIndex(SqliteDatabase(folder / INDEX_NAME)), FileNotes(folder), folder)


def raw_lake(settings: Settings) -> RawLake:
    """The raw lake of a home."""
    return local_lake(settings.raw_dir)
