"""Folders and files of this machine, as far as feeds need them.

This is no fsspec, because feeds here are many and small, and because a link's own times say nothing about the file
that it points to.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from orchestration.feeds.source import SourceError

_LOCAL_SCHEMES = ("file://", "local://")


@dataclass(frozen=True)
class Entry:
    """A folder or a file, or something that is neither. `location` finds it, `uri` is for people."""

    name: str
    location: str
    is_folder: bool
    is_file: bool
    uri: str = ""
    token: str = ""
    size: int = -1


def local_path(root: str) -> str | None:
    """The absolute path that a root names; None for a URL of another file system."""
    for scheme in _LOCAL_SCHEMES:
        if root.startswith(scheme):
            return _absolute(Path(root.removeprefix(scheme) or "/"))
    return None if "://" in root else _absolute(Path(root).expanduser())


def _absolute(path: Path) -> str:
    # Path.resolve would also follow links, and a delivery's name would change with them.
    return os.path.abspath(path)  # noqa: PTH100


class LocalFiles:
    """A folder of this machine. Links are followed; one that leads nowhere is neither folder nor file."""

    def __init__(self, root: str) -> None:
        self.root = root

    def entries(self, location: str) -> list[Entry]:
        """What is in a folder, by name; nothing where it does not exist.

        Raises:
            SourceError: if it cannot be listed.
        """
        try:
            with os.scandir(location) as found:
                entries = [_local_entry(item) for item in found]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _cannot_list(location, error) from error
        return sorted((entry for entry in entries if entry), key=lambda entry: entry.name)

    def open(self, location: str) -> BinaryIO:
        """The file's bytes; an OSError where it cannot be read."""
        return Path(location).open("rb")


def _local_entry(item: os.DirEntry[str]) -> Entry | None:
    """The entry, or None if it has just gone."""
    name = _text(item.name)
    try:
        status = item.stat()
    except OSError:
        if item.is_symlink():
            return Entry(name, item.path, is_folder=False, is_file=False)
        return None
    # The path as it is, without percent signs: a text by which a person finds the file.
    return Entry(
        name,
        item.path,
        is_folder=stat.S_ISDIR(status.st_mode),
        is_file=stat.S_ISREG(status.st_mode),
        uri=f"file://{_text(item.path)}",
        token=f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}",
        size=status.st_size,
    )


def _text(path: str) -> str:
    """A path as Unicode: bytes that are no UTF-8 are shown as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def _cannot_list(location: str, error: Exception) -> SourceError:
    return SourceError(f"the feeds below {_text(location)} cannot be listed: {error}")
