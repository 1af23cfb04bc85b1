"""Writes that survive a crash, and folders that belong to one process.

A small file is replaced as a whole, and folder entries are flushed to disk. A folder of a process is under a lock that
the kernel releases; what a killed process left is known by its free lock, and removed by the next sweep.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

_LOCK = ".lock"
# What this release and earlier ones make there. In a home that was somebody's folder before, anything else is theirs.
_OWN = re.compile(r"\d+-[a-z0-9_]{8}|tmp[a-z0-9_]{8}|duckdb_temp_.*")


def rewrite(path: Path, text: str) -> None:
    """Give a file this content: a reader, or a crash, finds the old one or the new one, whole.

    One process at a time may do so; the folder must exist.
    """
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def sync(path: Path) -> None:
    """Bring the content of a file, or the names of the files in a folder, to disk, as they are now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class OwnFolder:
    """A new folder below `root` that nobody else removes while this process lives; those of dead processes go.

    Raises:
        OSError: if nothing can be written there.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        # A folder that is made and not held yet would pass for a dead process's.
        with FileLock(root / _LOCK):
            _sweep(root)
            self.path = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
            # Another thread may be the one that lets go of it.
            self._held = FileLock(self.path / _LOCK, thread_local=False)
            self._held.acquire()

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._held.release()


def sweep(root: Path) -> None:
    """Remove what is of ours in `root`, but for folders that a living process holds."""
    if root.is_dir():
        with FileLock(root / _LOCK):
            _sweep(root)


def _sweep(root: Path) -> None:
    for path in root.iterdir():
        if not _OWN.fullmatch(path.name):
            continue
        if path.is_dir():
            _remove_if_left(path)
        else:
            path.unlink(missing_ok=True)


def _remove_if_left(folder: Path) -> None:
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()
