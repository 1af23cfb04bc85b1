"""Copies files that never change from one store to another, raw files and data files alike."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from activity_audit.raw.store import RawStore
from activity_audit.warehouse.lake import WarehouseError

# The files of a block are on this machine at a time.
_BLOCK = 500


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
    space.mkdir(parents=True, exist_ok=True)
    with new.writing() as writer, ThreadPoolExecutor(max(old.at_once, new.at_once)) as pool:
        while block := list(islice(left, _BLOCK)):
            sizes = dict(zip(block, pool.map(old.size, block), strict=True))
            files, size = files + len(block), size + sum(sizes.values())
            missing = new.missing(block)
            with tempfile.TemporaryDirectory(prefix=".move-", dir=space) as folder:
                parts = [(Path(folder, str(number)), name) for number, name in enumerate(missing)]
                list(pool.map(lambda part: old.copy(part[1], part[0]), parts))
                writer.publish(parts)
            writer.settle(missing)
            for name, found in zip(block, pool.map(new.size, block), strict=True):
                if found != sizes[name]:
                    raise WarehouseError(
                        f"{new.shown(name)} has not the {sizes[name]} bytes of {old.shown(name)}: move away what is "
                        "there, and repeat the command"
                    )
    return files, size
