"""Small texts that are kept with the raw lake and change: files beside the raw files, or rows of the index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from activity_audit.base.files import rewrite
from activity_audit.raw.database import NOTES, IndexDatabase
from activity_audit.raw.files import PAGES, SWEEPS

# Where the raw lake was moved to; with this nothing is landed in it any more.
MOVED = "moved.txt"
# Which hours of the API are read and sealed.
API_HOURS = f"{PAGES}/cxone/hours.json"
# The warehouse that the raw lake was moved to this place for.
OWNER = "warehouse.txt"
NAMES = frozenset({SWEEPS, API_HOURS, MOVED, OWNER})


class Notes(Protocol):
    """The texts, by name. Several processes may use them at once."""

    def read(self, name: str) -> str | None:
        """What is noted; None where nothing is."""

    def update(self, name: str, change: Callable[[str | None], str]) -> None:
        """Note what `change` makes of what was noted, while nobody else changes it."""


class FileNotes:
    """Each text is a file below a folder of this machine; a character that is not UTF-8 is read as a mark of that.

    Raises:
        OSError: if a file cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> str | None:
        """See Notes."""
        try:
            return (self._folder / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def update(self, name: str, change: Callable[[str | None], str]) -> None:
        """See Notes."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            rewrite(path, change(self.read(name)))


class IndexNotes:
    """Each text is a row of the index. For errors see IndexDatabase."""

    def __init__(self, database: IndexDatabase) -> None:
        self._database = database

    def read(self, name: str) -> str | None:
        """See Notes."""
        with self._database.connect() as connection:
            connection.ensure(NOTES)
            row = connection.execute("select content from note where name = ?", [name]).fetchone()
        return str(row[0]) if row else None

    def update(self, name: str, change: Callable[[str | None], str]) -> None:
        """See Notes."""
        with self._database.connect() as connection:
            connection.lock()
            connection.ensure(NOTES)
            row = connection.execute("select content from note where name = ?", [name]).fetchone()
            connection.execute(
                "insert into note values (?, ?) on conflict (name) do update set content = excluded.content",
                [name, change(str(row[0]) if row else None)],
            )
