"""The place of backups: a folder or a URL that holds the backups of one warehouse, and nothing else.

activity-audit-backup.json            which warehouse they are of
data/<name>, raw/<name>               data files and raw files; all backups that have one share it
backups/<id>/*                        the parts of one backup: its catalog, index, notes and files of the home
backups/<id>/files.sha256.gz          the hash and the name of each file that it has, as `sha256sum -c` takes them
backups/<id>/backup.json              written last: a backup is whole when it is there, or does not exist
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO

from activity_audit.base.files import OwnFolder
from activity_audit.base.masking import without_secrets
from activity_audit.base.storage_paths import local_path
from activity_audit.raw.store import RawStore
from activity_audit.settings.core import Settings
from activity_audit.upkeep.copying import store_at
from activity_audit.warehouse import home_version
from activity_audit.warehouse.lake_location import WarehouseError

DATA, RAW, BACKUPS = "data/", "raw/", "backups/"
CATALOG, INDEX, NOTES, HOME, FILES = (
    "catalog.sqlite.gz",
    "index.sqlite.gz",
    "notes.json",
    "home.tar.gz",
    "files.sha256.gz",
)
_PARTS = frozenset([CATALOG, INDEX, NOTES, HOME, FILES])
# What a place names becomes a path of this machine.
_NAME = re.compile(r"(data|raw)/(?!.*(^|/)\.\.(/|$))[^\0\\]+")
_SUMMARY = "backup.json"
_OWNER = "activity-audit-backup.json"
_FORMAT = 1
_AT_A_TIME = 1 << 20


class BackupError(WarehouseError):
    """A backup cannot be made or restored; the message says why and what to do."""


@dataclass(frozen=True)
class Backup:
    """What `backup.json` says of a backup; `parts` are the hashes of the files beside it.

    Files and bytes are of data and raw files; those that were copied were in no backup before. Times are ISO 8601, UTC.
    """

    id: str
    taken_at_utc: str
    warehouse_id: str
    snapshot_id: int
    run_id: str | None
    ledger_head: str | None
    files: int
    bytes: int
    copied_files: int
    copied_bytes: int
    release: str
    schema: int
    parts: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """An opened place; `space` is a folder of this machine through which files go into it."""

    store: RawStore
    space: Path

    @property
    def shown(self) -> str:
        """How people call it."""
        return without_secrets(self.store.shown("").rstrip("/"))

    def take(self, warehouse: str) -> None:
        """Have it be for the backups of this warehouse.

        Raises:
            BackupError: if it holds anything else.
        """
        if self._owner() is None:
            if found := next(iter(self.store.sizes()), None):
                raise BackupError(f"{self.shown} holds {found}, which is no backup: name an empty place")
            self._put_json(_OWNER, {"warehouse_id": warehouse, "format": _FORMAT})
        if (owner := self._owner()) != warehouse:
            raise BackupError(
                f"{self.shown} holds the backups of the warehouse {owner}, and this one is {warehouse}: name another "
                "place"
            )

    def _owner(self) -> str | None:
        if not self.store.exists(_OWNER):
            return None
        known = _json(self._read(_OWNER), self.store.shown(_OWNER))
        if known.get("format") != _FORMAT:
            raise BackupError(f"{self.shown} was written by another release of the product: use that release")
        return str(known.get("warehouse_id"))

    def ids(self) -> list[str]:
        """The ids of all whole backups, the oldest first."""
        return sorted(name.split("/")[1] for name in self.store.matching(f"{BACKUPS}*/{_SUMMARY}"))

    def backup(self, wanted: str | None = None) -> Backup:
        """The backup of this id, or the newest.

        Raises:
            BackupError: if there is none, or what says what it has is damaged.
        """
        ids = self.ids()
        if not ids:
            raise BackupError(f"there is no backup in {self.shown}; `audit backup` makes one")
        if wanted is not None and wanted not in ids:
            raise BackupError(f"there is no backup {wanted} in {self.shown}; `audit backup --list` lists all")
        found = wanted or ids[-1]
        name = f"{BACKUPS}{found}/{_SUMMARY}"
        values = _json(self._read(name), self.store.shown(name))
        written = values.pop("sha256", None)
        if written != _hash_of(values):
            raise damaged(self.store.shown(name))
        if values["schema"] > home_version.VERSION:
            raise BackupError(home_version.newer(f"the backup {found}", values["schema"], values["release"]))
        if set(values) != {one.name for one in fields(Backup)} or not set(values["parts"]) <= _PARTS:
            raise damaged(self.store.shown(name))
        return Backup(**values)

    def hashes(self, backup: Backup) -> dict[str, str]:
        """The hash of each data and raw file of a backup, by its name here.

        Raises:
            BackupError: if the list is damaged.
        """
        with gzip.open(self.part(backup, FILES), "rt", encoding="utf-8") as lines:
            found = {name: digest for digest, _, name in (line.rstrip("\n").partition("  ") for line in lines)}
        if not all(map(_NAME.fullmatch, found)):
            raise damaged(self.store.shown(f"{BACKUPS}{backup.id}/{FILES}"))
        return found

    def part(self, backup: Backup, name: str) -> Path:
        """A copy of a part of a backup on this machine, which is compared with its hash.

        Raises:
            BackupError: if it is not there, or not as it was written.
        """
        path, copy = f"{BACKUPS}{backup.id}/{name}", self.space / name
        try:
            self.store.copy(path, copy)
        except FileNotFoundError:
            raise damaged(self.store.shown(path)) from None
        if digest_of(copy) != backup.parts.get(name):
            raise damaged(self.store.shown(path))
        return copy

    def add(self, backup: Backup, parts: Mapping[str, Path]) -> None:
        """Write the parts of a backup, and then what says that it is whole."""
        self._put({f"{BACKUPS}{backup.id}/{name}": path for name, path in parts.items()})
        values = asdict(backup)
        self._put_json(f"{BACKUPS}{backup.id}/{_SUMMARY}", values | {"sha256": _hash_of(values)})

    def _put(self, files: Mapping[str, Path]) -> None:
        with self.store.writing() as writer:
            writer.publish([(path, name) for name, path in files.items()])
            writer.settle(list(files))

    def _put_json(self, name: str, value: Mapping[str, Any]) -> None:
        path = self.space / "json"
        path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
        self._put({name: path})

    def forget(self, ids: Collection[str]) -> None:
        """Let backups be whole no more; `sweep` removes what only they had."""
        self.store.delete([f"{BACKUPS}{one}/{_SUMMARY}" for one in ids])

    def sweep(self, needed: Collection[str]) -> None:
        """Remove the files that no backup has: `needed` are those of all backups."""
        ids = set(self.ids())
        unneeded = [
            name
            for name in self.store.sizes()
            if (name.startswith((DATA, RAW)) and name not in needed)
            or (name.startswith(BACKUPS) and name.split("/")[1] not in ids)
        ]
        self.store.delete(unneeded)
        self.store.remove_empty_folders(unneeded)

    def _read(self, name: str) -> bytes:
        with self.store.open(name) as file:
            return file.read()


@contextmanager
def opened(settings: Settings, *, for_writing: bool = False) -> Iterator[Place]:
    """The place that AUDIT_BACKUP_TO names.

    A folder for writing is made, and what killed processes left in it is removed.

    Raises:
        BackupError: if the setting names none.
    """
    if settings.backup_to is None:
        raise BackupError("there is no place for backups: set AUDIT_BACKUP_TO, or name it on the command line")
    folder = local_path(settings.backup_to)
    # A file gets its name by a link, so it has to be on the same disk.
    own = OwnFolder(folder.absolute() / ".incoming" if folder and for_writing else settings.work_dir / "backup")
    try:
        yield Place(store_at(settings.backup_to, "AUDIT_BACKUP_TO"), own.path)
    finally:
        own.remove()


def digest(file: BinaryIO) -> str:
    """The SHA-256 of what is left of an open file."""
    found = hashlib.sha256()
    while content := file.read(_AT_A_TIME):
        found.update(content)
    return found.hexdigest()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return digest(file)


def damaged(what: str) -> BackupError:
    """What is to be said of a file of a backup that is not as it was written."""
    return BackupError(
        f"the backup is damaged: {without_secrets(what)} is not as it was written. `audit backup --check` names "
        "everything that is; choose another backup, or another copy of this place"
    )


def _json(content: bytes, shown: str) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except ValueError:
        raise damaged(shown) from None
    if not isinstance(values, dict):
        raise damaged(shown)
    return values


def _hash_of(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
