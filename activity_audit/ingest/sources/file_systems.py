"""The folders and files of this machine that feeds come from.

This is no fsspec, because feeds here are many and small, because a link's own times say nothing about the file that it
points to, and because whoever may deliver must not be able to have other files of this machine read.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from activity_audit.base import storage_paths
from activity_audit.base.open_plainly import open_plainly
from activity_audit.ingest.sources.source import SourceError

_PLAIN = "file://"
# A path begins with a slash, so that no plain URI begins like this.
_ENCODED = "file://localhost/"


@dataclass(frozen=True)
class Entry:
    """A folder or a file, or something that is neither. `location` finds it, `uri` is for people.

    `refused` says of something that must not be read what it is.
    """

    name: str
    location: str
    is_folder: bool
    is_file: bool
    uri: str = ""
    token: str = ""
    size: int = -1
    refused: str = ""


def local_path(root: str) -> str | None:
    """The absolute path that a root names; None for a URL of another file system."""
    path = storage_paths.local_path(root)
    # Path.resolve would also follow links, and a delivery's name would change with them.
    return None if path is None else os.path.abspath(path)  # noqa: PTH100


class LocalFiles:
    """A folder of this machine, which may be a link itself.

    Links in it are followed to what is in it as well, and nowhere else. One that leads nowhere is neither folder nor
    file. A hard link cannot be told from the file.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._real_root = os.path.realpath(root)

    def entries(self, location: str) -> list[Entry]:
        """What is in a folder, by name; nothing where it does not exist.

        Raises:
            SourceError: if it cannot be listed.
        """
        try:
            with os.scandir(location) as found:
                entries = [self._entry(item) for item in found]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _cannot_list(location, error) from error
        return sorted((entry for entry in entries if entry), key=lambda entry: entry.name)

    def open(self, location: str) -> BufferedReader:
        """The file's bytes.

        Raises:
            FileNotFoundError: if it is gone, or was replaced under our hands.
            OSError: if it cannot be read, or is no file of this folder.
        """
        descriptor = self._plainly(location)
        if descriptor is None:
            descriptor = self._descriptor(os.path.realpath(location))
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "it is not a regular file")
        # By its name, so that what is read can be compared with what is there at the end.
        return open(location, "rb", opener=lambda *_: descriptor)

    def _plainly(self, location: str) -> int | None:
        """Open a path below this folder that has no links in it, as nearly all; None for any other."""
        inner = location.removeprefix(self.root)
        if inner == location or not inner.startswith("/") or "/../" in f"{inner}/":
            return None
        return open_plainly(self._real_root + inner)

    def _descriptor(self, real: str) -> int:
        """Open a path without links, folder by folder: one that has become a link since is not followed."""
        if not _is_within(real, self._real_root):
            raise OSError(errno.ELOOP, "it is a link that leads out of the landing area")
        if real == self._real_root:
            raise OSError(errno.EISDIR, "it is a link to the landing area itself")
        *folders, name = Path(real).relative_to(self._real_root).parts
        at = os.open(self._real_root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for folder in folders:
                inner = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
                os.close(at)
                at = inner
            # What is no regular file any more must not be waited for.
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise FileNotFoundError(errno.ENOENT, "it was replaced by a link", real) from error
            raise
        finally:
            os.close(at)

    def _entry(self, item: os.DirEntry[str]) -> Entry | None:
        """The entry, or None if it has just gone."""
        name = name_of(item.name)
        if item.is_symlink() and (refused := self._refused_link(item.path)):
            return Entry(name, item.path, is_folder=False, is_file=False, refused=refused)
        try:
            status = item.stat()
        except OSError:
            if item.is_symlink():
                return Entry(name, item.path, is_folder=False, is_file=False)
            return None
        return Entry(
            name,
            item.path,
            is_folder=stat.S_ISDIR(status.st_mode),
            is_file=stat.S_ISREG(status.st_mode),
            uri=uri_of(item.path),
            token=f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}",
            size=status.st_size,
            refused=_refused_kind(status.st_mode),
        )

    def _refused_link(self, path: str) -> str:
        target = os.path.realpath(path)
        if not _is_within(target, self._real_root):
            return "is a link that leads out of the landing area"
        if _is_within(os.path.realpath(os.path.dirname(path)), target):  # noqa: PTH120
            return "is a link to a folder that it is in itself"
        return ""


def _is_within(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def _refused_kind(mode: int) -> str:
    if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
        return ""
    kinds = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
    return "is " + next((name for is_kind, name in kinds if is_kind(mode)), "a device")


def uri_of(path: str) -> str:
    """The URI of an absolute path of this machine; no two paths have the same.

    It is the path as it is, without percent signs, a text by which a person finds the file. Only where the path is not
    UTF-8 is it `file://localhost/…` and percent-encoded.
    """
    if path.isascii():
        return _PLAIN + path
    encoded = os.fsencode(path)
    try:
        return _PLAIN + encoded.decode("utf-8")
    except UnicodeDecodeError:
        return _ENCODED + quote(encoded).removeprefix("/")


def path_of(uri: str) -> str | None:
    """The path that `uri_of` made this URI of; None for any other URI."""
    if uri.startswith(_ENCODED):
        return os.fsdecode(b"/" + unquote_to_bytes(uri.removeprefix(_ENCODED)))
    return os.fsdecode(uri.removeprefix(_PLAIN).encode()) if uri.startswith(f"{_PLAIN}/") else None


def shown_path(path: str) -> str:
    """A path as a text that no other path is shown as: itself, or its URI where it is not UTF-8."""
    uri = uri_of(path)
    return uri if uri.startswith(_ENCODED) else uri.removeprefix(_PLAIN)


def name_of(name: str) -> str:
    r"""A file's name as Unicode, which no other file's name is shown as: a byte that is not UTF-8 is `\/xNN`.

    No file's name has a slash in it. The backslash keeps it from beginning as a name of a reading does.
    """
    if name.isascii():
        return name
    encoded = os.fsencode(name)
    try:
        return encoded.decode("utf-8")
    except UnicodeDecodeError:
        text = encoded.decode("utf-8", errors="surrogateescape")
        return "".join(rf"\/x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)


def _cannot_list(location: str, error: Exception) -> SourceError:
    return SourceError(f"the feeds below {shown_path(location)} cannot be listed: {error}")
