"""Opens a file by a path without links, at once."""

from __future__ import annotations

import ctypes
import os
import struct
import sys

# openat2, which is new enough to have this number on each kind of machine.
_OPENAT2 = 437
_AT_FDCWD = -100
_NO_LINKS = 0x04
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_HOW = struct.pack("QQQ", _FLAGS, 0, _NO_LINKS)


def open_plainly(path: str) -> int | None:
    """A descriptor to read the file at this absolute path; None if a part of the path is a link.

    It is also None where there is no such file, it cannot be opened, or this machine cannot do so at once. What is no
    regular file is not waited for.
    """
    if sys.platform != "linux":
        return None
    descriptor: int = _syscall(_OPENAT2, _AT_FDCWD, os.fsencode(path), _HOW, len(_HOW))
    return None if descriptor < 0 else descriptor


_syscall = ctypes.CDLL(None).syscall
_syscall.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
_syscall.restype = ctypes.c_long
