"""Folders and files of a local disk or of any fsspec file system, as far as feeds need them.

The local one is no fsspec, because feeds there are many and small, and because a link's own times say nothing
about the file that it points to.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from orchestration.feeds.source import SourceError

_LOCAL_SCHEMES = ("file://", "local://")
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "version_id", "versionId")
_TIME_KEYS = ("mtime", "LastModified", "last_modified", "updated", "created")


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


class FileSystem(Protocol):
    """What can list folders and open files, from `root` down."""

    root: str

    def refresh(self) -> None:
        """Forget what was listed before."""
        ...

    def entries(self, location: str) -> list[Entry]:
        """What is in a folder, by name; nothing where it does not exist.

        Raises:
            SourceError: if it cannot be listed.
        """
        ...

    def open(self, location: str) -> BinaryIO:
        """The file's bytes; an OSError where it cannot be read."""
        ...


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

    def refresh(self) -> None:
        """See FileSystem.refresh."""

    def entries(self, location: str) -> list[Entry]:
        """See FileSystem.entries."""
        try:
            with os.scandir(location) as found:
                entries = [_local_entry(item) for item in found]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _cannot_list(location, error) from error
        return sorted((entry for entry in entries if entry), key=lambda entry: entry.name)

    def open(self, location: str) -> BinaryIO:
        """See FileSystem.open."""
        return Path(location).open("rb")


class RemoteFiles:
    """A file system that fsspec knows by its URL."""

    def __init__(self, url: str) -> None:
        import fsspec

        try:
            self._files, self.root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise SourceError(f"AUDIT_FEED_URL={url!r} cannot be opened: {error}") from error

    def refresh(self) -> None:
        """See FileSystem.refresh; fsspec keeps listings for the life of the process, which is long."""
        self._files.invalidate_cache()

    def entries(self, location: str) -> list[Entry]:
        """See FileSystem.entries."""
        try:
            found = self._files.ls(location, detail=True)
        except FileNotFoundError:
            return []
        # Which errors a file system raises is its own affair.
        except Exception as error:
            raise _cannot_list(location, error) from error
        # An object store may have an object that stands for the folder itself.
        folder = location.strip("/")
        entries = [self._entry(item) for item in found if item["name"].strip("/") != folder]
        return sorted(entries, key=lambda entry: entry.name)

    def open(self, location: str) -> BinaryIO:
        """See FileSystem.open."""
        return self._files.open(location, "rb")

    def _entry(self, item: dict[str, Any]) -> Entry:
        location = item["name"]
        name = location.rstrip("/").rsplit("/", 1)[-1]
        if item["type"] != "file":
            return Entry(name, location, is_folder=item["type"] == "directory", is_file=False)
        size = item.get("size")
        version = next((item[key] for key in _VERSION_KEYS if item.get(key)), None)
        if version is None:
            version = ":".join(str(item.get(key)) for key in _TIME_KEYS)
        return Entry(
            name,
            location,
            is_folder=False,
            is_file=True,
            uri=self._files.unstrip_protocol(location),
            token=f"{size}:{version}",
            size=-1 if size is None else int(size),
        )


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
