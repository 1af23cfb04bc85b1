"""Makes a backup while runs go on: the catalog as one snapshot has it, then all files that it names.

Files never change, so one that a backup has already is not copied again. What an upkeep removes while it is copied is
noticed, and the backup then begins again, with a new snapshot, under the run lock.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

from activity_audit.base.hours import iso, now_utc
from activity_audit.raw.lake import raw_lake
from activity_audit.raw.store import RawStore
from activity_audit.settings.core import Settings
from activity_audit.upkeep import move_raw
from activity_audit.upkeep.backup import dump
from activity_audit.upkeep.backup import place as places
from activity_audit.upkeep.backup.place import DATA, RAW, Backup, BackupError, Place, digest_of
from activity_audit.upkeep.copying import copy, store_at
from activity_audit.warehouse import home_record, lake
from activity_audit.warehouse.lake_location import location
from activity_audit.warehouse.run_lock import OnStage, exclusive

_QUICK = 1
_STAMP = "%Y%m%dT%H%M%SZ"


class _GoneError(Exception):
    """A file was removed while it was to be copied."""


@dataclass(frozen=True)
class Made:
    """A backup that was made, the ids of those that were removed for it, and sentences for the operator."""

    backup: Backup
    removed: list[str]
    warnings: list[str]


@dataclass
class _Known:
    """What all backups of a place have: the hash of each file by its name, and the backups that are damaged."""

    hashes: dict[str, str]
    damaged: list[str]


def backup(settings: Settings, progress: OnStage = lambda _: None) -> Made:
    """Back up the home, the warehouse and the raw lake to AUDIT_BACKUP_TO; older ones than AUDIT_BACKUP_KEEP go.

    Raises:
        NothingPublishedError: if nothing is published yet.
        BackupError: if the place cannot be used, another backup is being made, or a file is lost.
        WarehouseBusyError: if a run held the warehouse for too long, and the lock was needed.
        WarehouseError: if the warehouse cannot be reached.
        OSError, FaultError: if something cannot be read or written.
    """
    lake.require_published(settings)
    lock = FileLock(settings.home / ".backup.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BackupError("another backup of this home is being made; wait for it") from None
    try:
        with places.opened(settings, for_writing=True) as place:
            known, warnings = _known(place), list[str]()
            try:
                made = _make(settings, place, known, warnings, progress)
            except _GoneError:
                with exclusive(settings, progress):
                    made = _make_at_last(settings, place, known, warnings, progress)
            return Made(made, _remove_old(place, settings.backup_keep, warnings), warnings)
    finally:
        lock.release()


def _known(place: Place) -> _Known:
    known = _Known({}, [])
    for one in place.ids():
        try:
            known.hashes |= place.hashes(place.backup(one))
        except BackupError:
            known.damaged.append(one)
    return known


def _remove_old(place: Place, keep: int, warnings: list[str]) -> list[str]:
    """Remove all backups but the newest, with the files that only they had; their ids."""
    old = place.ids()[:-keep]
    place.forget(old)
    known = _known(place)
    if known.damaged:
        warnings.append(
            f"the backup {known.damaged[0]} is damaged, so it is not known which files it needs, and none is removed: "
            f"remove its folder in {place.store.shown(places.BACKUPS)}"
        )
    else:
        place.sweep(known.hashes.keys())
    return old


def _make_at_last(settings: Settings, place: Place, known: _Known, warnings: list[str], progress: OnStage) -> Backup:
    """Make a backup while no upkeep of this home removes anything."""
    try:
        return _make(settings, place, known, warnings, progress)
    except _GoneError as gone:
        raise BackupError(
            f"{gone} is named by the catalog, and is not there: `audit verify` names everything that is lost. If an "
            "upkeep of another home removed it, repeat the command; otherwise restore the home from an earlier backup"
        ) from None


def _make(settings: Settings, place: Place, known: _Known, warnings: list[str], progress: OnStage) -> Backup:
    taken_at = now_utc()
    raw = raw_lake(settings)
    # Before the catalog, because what it has may be deleted before the raw files are looked at.
    before = move_raw.sizes(raw)
    progress("copying the catalog")
    parts = {places.CATALOG: dump.catalog(place, settings)}
    state = dump.state(place, settings)
    place.take(state.warehouse_id)
    parts |= {places.INDEX: dump.index(place, raw), places.NOTES: dump.notes(place, raw)}
    progress("copying the files")
    sources = {DATA: store_at(location(settings).data_path, "AUDIT_DATA_PATH"), RAW: raw.store}
    sizes = {f"{RAW}{name}": size for name, size in (before | move_raw.sizes(raw)).items()}
    there = sources[DATA].sizes()
    sizes |= {f"{DATA}{name}": there.get(name, -1) for name in state.files}
    hashes, copied = _copy_files(place, sources, sizes, known, warnings)
    stored = place.store.sizes()
    # At last, so that what was on record when the raw files were copied is in one of the two.
    parts |= {places.HOME: dump.home(place, settings), places.FILES: _list(place, hashes)}
    made = Backup(
        id=_id(place, taken_at),
        taken_at_utc=iso(taken_at),
        warehouse_id=state.warehouse_id,
        snapshot_id=state.snapshot_id,
        run_id=state.run_id,
        ledger_head=state.ledger_head,
        files=len(hashes),
        bytes=sum(stored[name] for name in hashes),
        copied_files=len(copied),
        copied_bytes=sum(stored[name] for name in copied),
        release=version("activity-audit"),
        schema=max(state.version, home_record.version(settings)),
        parts={name: digest_of(path) for name, path in parts.items()},
        settings=dump.given_settings(),
    )
    place.add(made, parts)
    return made


def _id(place: Place, taken_at: datetime) -> str:
    """An id that comes after all others: the time, or a second after the newest where the clock was set back."""
    newest = [datetime.strptime(one[: one.index("-")], _STAMP).replace(tzinfo=UTC) for one in place.ids()[-1:]]
    return f"{max([taken_at, *(at + timedelta(seconds=1) for at in newest)]):{_STAMP}}-{uuid4().hex[:8]}"


def _copy_files(
    place: Place, sources: Mapping[str, RawStore], sizes: Mapping[str, int], known: _Known, warnings: list[str]
) -> tuple[dict[str, str], list[str]]:
    """Have all files in the place: the hash of each by its name there, and the names of those that were copied."""
    there = place.store.sizes()
    odd = [name for name, size in sizes.items() if size >= 0 and there.get(name, size) != size]
    # Of two that differ, the one that is as a backup has recorded it is right.
    changed = {name for name in odd if _hash(place.store, name) == known.hashes.get(name)}
    if changed:
        warnings.append(
            f"{len(changed)} files are not as they were when they were backed up, such as "
            f"{min(changed)}: the backup keeps them as they were; `audit verify` says what was changed"
        )
    torn = set(odd) - changed
    place.store.delete(torn)
    missing = [name for name in sizes if name not in there or name in torn]
    present = [name for name in sizes if name in there and name not in torn]
    hashes = {name: known.hashes[name] for name in present if name in known.hashes}
    # A backup that was killed had copied these.
    unknown = [name for name in present if name not in hashes]
    with ThreadPoolExecutor(place.store.at_once) as pool:
        hashes |= dict(zip(unknown, pool.map(lambda name: _hash(place.store, name), unknown), strict=True))
    for folder, source in sources.items():

        def look(name: str, path: Path, folder: str = folder) -> None:
            hashes[f"{folder}{name}"] = digest_of(path)

        names = [(name.removeprefix(folder), name) for name in missing if name.startswith(folder)]
        try:
            copy(source, place.store, names, place.space, look)
        except FileNotFoundError as error:
            raise _GoneError(str(error.filename or error)) from None
    return hashes, missing


def _hash(store: RawStore, name: str) -> str:
    with store.open(name) as file:
        return places.digest(file)


def _list(place: Place, hashes: Mapping[str, str]) -> Path:
    path = place.space / places.FILES
    with gzip.open(path, "wt", compresslevel=_QUICK, encoding="utf-8", newline="\n") as file:
        file.writelines(f"{hashes[name]}  {name}\n" for name in sorted(hashes))
    return path
