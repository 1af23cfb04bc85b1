"""Copies files that never change from one store to another, raw files and data files alike."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path

from activity_audit.base.storage_paths import local_path
from activity_audit.raw.object_store import ObjectStore
from activity_audit.raw.store import LocalStore, RawStore
from activity_audit.warehouse.lake import WarehouseError

# The files of a block are on this machine at a time.
_BLOCK = 500
_PREFIX = ".move-"


def store_at(url: str, setting: str) -> RawStore:
    """The files below a folder of this machine, or below the URL that a setting names."""
    folder = local_path(url)
    return LocalStore(folder.absolute()) if folder else ObjectStore(url, setting)


def copy_missing(old: RawStore, new: RawStore, names: Iterable[str], space: Path) -> tuple[int, int]:
    """Copy these files as far as the new store does not have them; how many files and bytes it has of them then.

    They go through `space`, a folder of this machine, that of the new store if it is one. A file never changes, so one
    of the same size is the same.

    Raises:
        WarehouseError: if the new place has another file under a name.
        OSError, FaultError: if one of the two cannot be read or written.
    """
    left = iter(names)
    files = size = 0
    with ThreadPoolExecutor(max(old.at_once, new.at_once)) as pool:
        while block := list(islice(left, _BLOCK)):
            sizes = dict(zip(block, pool.map(old.size, block), strict=True))
            files, size = files + len(block), size + sum(sizes.values())
            copy(old, new, ((name, name) for name in new.missing(block)), space)
            for name, found in zip(block, pool.map(new.size, block), strict=True):
                if found != sizes[name]:
                    raise WarehouseError(
                        f"{new.shown(name)} has not the {sizes[name]} bytes of {old.shown(name)}: move away what is "
                        "there, and repeat the command"
                    )
    return files, size


def copy(
    old: RawStore,
    new: RawStore,
    names: Iterable[tuple[str, str]],
    space: Path,
    look: Callable[[str, Path], None] = lambda *_: None,
) -> None:
    """Copy files, each from its name in the old store to its name in the new one, where it is not there.

    They go through `space` as in `copy_missing`. `look` is given the old name and the copy on this machine, in any
    thread, before the new store has it.

    Raises:
        FileNotFoundError: if one is not there any more.
        OSError, FaultError: if one of the two cannot be read or written.
    """
    left = iter(names)
    space.mkdir(parents=True, exist_ok=True)
    # What a killed copy left; one copies into a space at a time.
    for leftover in space.glob(f"{_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)

    def fetch(part: tuple[Path, str]) -> None:
        old.copy(part[1], part[0])
        look(part[1], part[0])

    with new.writing() as writer, ThreadPoolExecutor(max(old.at_once, new.at_once)) as pool:
        while block := list(islice(left, _BLOCK)):
            with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=space) as folder:
                parts = [Path(folder, str(number)) for number in range(len(block))]
                fetched = [pool.submit(fetch, (part, name)) for part, (name, _) in zip(parts, block, strict=True)]
                # If one fails, the others still write into the folder.
                wait(fetched)
                for one in fetched:
                    one.result()
                writer.publish([(part, name) for part, (_, name) in zip(parts, block, strict=True)])
            writer.settle([name for _, name in block])
