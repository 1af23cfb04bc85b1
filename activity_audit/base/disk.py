"""Brings many files to disk at a time.

A few are synced one by one. Of many, Linux is asked once to bring their whole file system to disk: the journal is then
written once, not for each file.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from activity_audit.base.files import sync

# Of fewer it takes no longer to sync each, and what other programs have written need not be waited for.
_MANY = 50
_THREADS = 8
# Since then Linux reports every error of such a call.
_LINUX = (5, 17)
# ext4, XFS and Btrfs. Another may do less for a whole file system than for each file, as FUSE does.
_FILE_SYSTEMS = (0xEF53, 0x58465342, 0x9123683E)
_STATFS_BYTES = 256


class Disk:
    """The file system of `folder`. Errors in writing files are noticed if they were written after this was made."""

    def __init__(self, folder: Path) -> None:
        # Linux reports to an open file what has failed since it was opened, also if it was before the call.
        self._descriptor = os.open(folder, os.O_RDONLY)
        self._sync_all = whole_sync(folder)

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._descriptor)

    def sync(self, paths: Iterable[Path], count: int) -> None:
        """Bring the contents of files, or the names in folders, to disk: those of about `count` files.

        Raises:
            OSError: if one of them may not be there.
        """
        if self._sync_all and count >= _MANY:
            self._sync_all(self._descriptor)
            return
        # A disk brings several at once in little more time than one.
        with ThreadPoolExecutor(_THREADS) as pool:
            for _ in pool.map(sync, paths):
                pass


def whole_sync(folder: Path) -> Callable[[int], None] | None:
    """What brings the file system of an open file to disk; None where that is not as sure as to sync each file."""
    release = re.match(r"(\d+)\.(\d+)", platform.release())
    if sys.platform != "linux" or release is None or tuple(map(int, release.groups())) < _LINUX:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    return (lambda descriptor: _call(libc.syncfs, descriptor)) if _is_sure(libc, folder) else None


def _is_sure(libc: ctypes.CDLL, folder: Path) -> bool:
    """Whether all that is asked for each file is done for its file system, too."""
    status = ctypes.create_string_buffer(_STATFS_BYTES)
    _call(libc.statfs, os.fsencode(folder), status)
    # Its first member is the kind of file system.
    return ctypes.c_ulong.from_buffer(status).value in _FILE_SYSTEMS


def _call(function: Any, *arguments: Any) -> None:
    if function(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
