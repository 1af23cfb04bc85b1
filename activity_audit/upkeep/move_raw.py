"""Moves the raw lake to another place: its files, its index, and what is noted with it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice

from activity_audit.base.hours import iso, now_utc
from activity_audit.base.masking import without_secrets
from activity_audit.ingest.scratch import in_use
from activity_audit.raw.database import ALL, IndexConnection
from activity_audit.raw.index import INDEX_NAME, RawIndex
from activity_audit.raw.lake import RawLake
from activity_audit.raw.notes import MOVED, NAMES, OWNER, Notes
from activity_audit.upkeep.copying import copy_missing
from activity_audit.warehouse.lake import WarehouseError

# So many rows are sent at a time.
_BLOCK = 500
_PAUSE = 0.5
_TABLES = ("seen", "delivery", "manifest", "waiting", "looked", "set_aside")


def is_elsewhere(old: RawLake, new: RawLake) -> bool:
    """Whether the files of the two are in different places."""
    return old.store.shown("") != new.store.shown("")


def why_taken(old: RawLake, new: RawLake, warehouse: str) -> str | None:
    """What is to be said if there is something else in the new place, or what was moved away from it."""
    if not _differ(old, new) or (new.notes.read(OWNER) == warehouse and new.notes.read(MOVED) is None):
        return None
    with new.index.connect() as connection:
        has_rows = connection.execute("select 1 from delivery limit 1").fetchone() is not None
    if not has_rows and not (is_elsewhere(old, new) and next(_files(new), None)):
        return None
    return (
        f"{new.store.shown('')} holds a raw lake already, or its index is in the new catalog's database: name another "
        "place, or move away what is there"
    )


def take(old: RawLake, new: RawLake, warehouse: str) -> None:
    """Note in the new place that it is for this warehouse, so that the move can be repeated."""
    if _differ(old, new):
        note(new, OWNER, warehouse)


def _differ(old: RawLake, new: RawLake) -> bool:
    return is_elsewhere(old, new) or old.index.database.place != new.index.database.place


def _files(raw: RawLake) -> Iterator[str]:
    return (name for name in raw.store.files(lambda name: name.startswith(INDEX_NAME), None) if name not in NAMES)


def sizes(raw: RawLake) -> dict[str, int]:
    """Every raw file and its bytes; without the index and what is noted."""
    found = raw.store.sizes().items()
    return {name: size for name, size in found if not name.startswith(INDEX_NAME) and name not in NAMES}


def copy_files(old: RawLake, new: RawLake) -> tuple[int, int]:
    """Copy all raw files that are not in the new place yet; how many files and bytes it has. See `copy_missing`."""
    return copy_missing(old.store, new.store, _files(old), new.space) if is_elsewhere(old, new) else (0, 0)


def hand_over(old: RawLake, new: RawLake, patience: timedelta) -> tuple[int, int]:
    """Close the old raw lake to landing, and give the new one what was landed last, the index, and the notes.

    How many files and bytes the new one has; none if it is in the same place.

    Raises:
        WarehouseError: if a landing pass holds the old one for longer than `patience`.
    """
    copied = 0, 0
    if _differ(old, new):
        note(
            old,
            MOVED,
            f"to {new.store.shown('')}, its index to {without_secrets(new.index.database.place)}, at {iso(now_utc())}",
        )
        deadline = time.monotonic() + patience.total_seconds()
        while in_use(old):
            if time.monotonic() > deadline:
                raise WarehouseError(
                    f"files are still landed in {old.store.shown('')}, or a killed run left some: repeat the command "
                    "when no run is under way"
                )
            time.sleep(_PAUSE)
        copied = copy_files(old, new)
    if old.index.database.place != new.index.database.place:
        copy_index(old.index, new.index, is_complete=old.index.is_complete())
    for name, text in read_notes(old.notes).items():
        note(new, name, text)
    return copied


def copy_index(old: RawIndex, new: RawIndex, *, is_complete: bool) -> None:
    """Make the rows of the new index those of the old one, in one transaction; whether it then counts as complete.

    What was seen is copied before what was landed, so that nothing passes for landed that is not in the copy.
    """
    with old.connect() as source, new.connect() as target:
        source.ensure(ALL)
        target.lock()
        target.ensure(ALL)
        for table in _TABLES:
            _copy_rows(source, target, table)
        if is_complete:
            new.database.set_complete(target)


def read_notes(notes: Notes) -> dict[str, str]:
    """What is noted of the feeds, by name; not what is noted of the place."""
    found = ((name, notes.read(name)) for name in sorted(NAMES - {MOVED, OWNER}))
    return {name: text for name, text in found if text is not None}


def note(raw: RawLake, name: str, text: str) -> None:
    """Note a text with a raw lake."""
    raw.notes.update(name, lambda _: text)


def _copy_rows(source: IndexConnection, target: IndexConnection, table: str) -> None:
    target.execute(f"delete from {table}")
    rows: Iterator[Sequence[object]] = iter(source.execute(f"select * from {table}"))
    while block := list(islice(rows, _BLOCK)):
        target.executemany(f"insert into {table} values ({', '.join('?' * len(block[0]))})", block)
