"""Scratch space of landing passes: where files are written before they are whole.

Every pass holds a shared lock on the space as long as it lives, however it ends. So whoever gets the exclusive
lock knows that all that lies there was left by passes that were killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from activity_audit.raw.lake import RawLake

FOLDER = ".scratch"
_LOCK = "lock"


@contextmanager
def scratch(root: Path, on_leftovers: Callable[[], None]) -> Iterator[Path]:
    """An empty folder of this pass below `root`, the `space` of the raw lake; it is removed at the end.

    `on_leftovers` is called, before they are removed, when an earlier pass was killed and left its folder. A
    folder is also left by a pass that ends with an exception, so that the next one looks after it.
    """
    space = root / FOLDER
    space.mkdir(parents=True, exist_ok=True)
    with (space / _LOCK).open("a") as lock:
        _clean(space, lock.fileno(), on_leftovers)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=space))
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def in_use(raw: RawLake) -> bool:
    """Whether a pass is at work, or was killed and no later one has looked after what it left."""
    if raw.is_shared:
        return bool(raw.index.expected())
    space = raw.space / FOLDER
    try:
        with (space / _LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return any(path.name != _LOCK for path in space.iterdir())


def _clean(space: Path, lock: int, on_leftovers: Callable[[], None]) -> None:
    """Remove what killed passes left, unless another pass is at work, and hold the shared lock."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        leftovers = [path for path in space.iterdir() if path.name != _LOCK]
        if leftovers:
            on_leftovers()
        for path in leftovers:
            shutil.rmtree(path, ignore_errors=True)
    fcntl.flock(lock, fcntl.LOCK_SH)
