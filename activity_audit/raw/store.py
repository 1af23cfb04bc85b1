"""Where the files of the raw lake are kept: what every store does, and a folder of this machine that does it.

A file is known by its name relative to the raw lake, with slashes. It is given its name once, when it is whole, and is
never changed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Protocol

from activity_audit.base.disk import Disk

if TYPE_CHECKING:
    import duckdb

# A whole file in scratch space, and the name that it is to have.
Unnamed = tuple[Path, str]


class Writer(Protocol):
    """Gives files of one pass their names."""

    def publish(self, files: Sequence[Unnamed]) -> list[bool]:
        """Give whole files their names; False for each whose name is another file's already, which stays.

        The content of all is safe before the first has its name. The files are gone from scratch space afterwards.

        Raises:
            OSError: if the store cannot be written.
        """

    def settle(self, names: Collection[str]) -> None:
        """Make these names safe, too."""


class RawStore(Protocol):
    """The files of one raw lake. Its methods may be called from several threads."""

    # How many files are read at the same time.
    at_once: int

    def shown(self, name: str) -> str:
        """How people and DuckDB call a file: its path or its URL."""

    def is_there(self) -> bool:
        """Whether there may be anything."""

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""

    def missing(self, names: Collection[str]) -> list[str]:
        """Those of the names that no file has, in their order."""

    def size(self, name: str) -> int:
        """How many bytes a file has."""

    def open(self, name: str) -> BinaryIO:
        """The bytes of a file, which can be sought.

        Raises:
            FileNotFoundError: if it is not there.
            OSError: if it cannot be read, and likewise while it is read.
        """

    def matching(self, pattern: str) -> list[str]:
        """The files whose names fit a pattern, part by part, sorted."""

    def files(self, is_beside: Callable[[str], bool], days: Collection[str] | None) -> Iterator[str]:
        """Every file, or those in the feeds' folders of these days; without hidden ones.

        What `is_beside` says of names at the top of the lake is left out.
        """

    def sizes(self) -> dict[str, int]:
        """Every file and how many bytes it has; without hidden ones."""

    def folders(self, name: str = "") -> list[str]:
        """The names of the folders in a folder; none if it is not there."""

    def names_in(self, folder: str) -> list[str]:
        """The files in a folder by their whole names, sorted; none if it is not there."""

    def copy(self, name: str, target: Path) -> None:
        """Copy a file to a path of this machine."""

    def writing(self) -> AbstractContextManager[Writer]:
        """What gives files their names, for one pass."""

    def delete(self, names: Collection[str]) -> None:
        """Delete files, as far as they are there.

        Raises:
            OSError: if one cannot be deleted.
        """

    def remove_empty_folders(self, names: Collection[str]) -> None:
        """Remove the folders that these deleted files were in, if they are empty."""

    def let_read(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let a connection read the files under the names that `shown` gives."""


class LocalStore:
    """The files below a folder of this machine."""

    at_once = 2

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shown(self, name: str) -> str:
        """See RawStore."""
        return str(self._folder / name)

    def is_there(self) -> bool:
        """See RawStore."""
        return self._folder.is_dir()

    def exists(self, name: str) -> bool:
        """See RawStore."""
        return (self._folder / name).exists()

    def missing(self, names: Collection[str]) -> list[str]:
        """See RawStore."""
        return [name for name in names if not self.exists(name)]

    def size(self, name: str) -> int:
        """See RawStore."""
        return (self._folder / name).stat().st_size

    def open(self, name: str) -> BinaryIO:
        """See RawStore."""
        return (self._folder / name).open("rb")

    def matching(self, pattern: str) -> list[str]:
        """See RawStore."""
        return [path.relative_to(self._folder).as_posix() for path in sorted(self._folder.glob(pattern))]

    def files(self, is_beside: Callable[[str], bool], days: Collection[str] | None) -> Iterator[str]:
        """See RawStore."""
        # Not by pathlib, which takes longer to make its paths than the rest takes to hash the files.
        for folder, inner, names in os.walk(self._folder, onerror=_unlisted):
            within = os.path.relpath(folder, self._folder)
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            depth = 0 if within == "." else within.count("/") + 1
            if depth == 0:
                inner[:] = [name for name in inner if not is_beside(name)]
                names = [name for name in names if not is_beside(name)]
            if days is not None and depth < 2:
                inner[:] = [name for name in inner if depth == 0 or name in days]
                continue
            for name in sorted(names):
                if not name.startswith(".") and Path(folder, name).is_file():
                    yield name if within == "." else f"{within}/{name}"

    def sizes(self) -> dict[str, int]:
        """See RawStore."""
        found: dict[str, int] = {}
        for name in self.files(lambda _: False, None) if self.is_there() else ():
            # It may be removed meanwhile.
            with suppress(FileNotFoundError):
                found[name] = self.size(name)
        return found

    def folders(self, name: str = "") -> list[str]:
        """See RawStore."""
        folder = self._folder / name
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def names_in(self, folder: str) -> list[str]:
        """See RawStore."""
        try:
            return [f"{folder}/{path.name}" for path in sorted((self._folder / folder).iterdir())]
        except FileNotFoundError:
            return []

    def copy(self, name: str, target: Path) -> None:
        """See RawStore."""
        shutil.copyfile(self._folder / name, target)

    def writing(self) -> LocalWriter:
        """See RawStore."""
        return LocalWriter(self._folder)

    def delete(self, names: Collection[str]) -> None:
        """See RawStore."""
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def remove_empty_folders(self, names: Collection[str]) -> None:
        """See RawStore."""
        for folder in sorted({(self._folder / name).parent for name in names}):
            for empty in (folder, folder.parent):
                if empty.exists() and not any(empty.iterdir()):
                    empty.rmdir()

    def let_read(self, connection: duckdb.DuckDBPyConnection) -> None:
        """See RawStore."""


class LocalWriter:
    """Gives files of this machine their names by links, and brings them to disk, many at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._disk = Disk(folder)

    def __enter__(self) -> LocalWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._disk.__exit__(kind, error, at)

    def publish(self, files: Sequence[Unnamed]) -> list[bool]:
        """See Writer."""
        self._disk.sync((temporary for temporary, _ in files), len(files))
        return [_publish(temporary, self._folder / name) for temporary, name in files]

    def settle(self, names: Collection[str]) -> None:
        """See Writer."""
        self._disk.sync(_folders_of((self._folder / name for name in names), self._folder), len(names))


def _publish(temporary: Path, target: Path) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError:
        # A file system without hard links: of two that land the same at once, the second one's file stays.
        temporary.replace(target)
        return True
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _folders_of(files: Iterable[Path], root: Path) -> Iterator[Path]:
    """The folders below the root that these files are in; a name is on disk when all of them are."""
    folders: set[Path] = set()
    for folder in {file.parent for file in files}:
        folders |= {folder, *folder.parents}
    yield from sorted((folder for folder in folders if folder.is_relative_to(root)), reverse=True)


def _unlisted(error: OSError) -> None:
    """Of a folder that may not be looked into, the files are found to be unreadable one by one."""
    if not isinstance(error, PermissionError):
        raise error
