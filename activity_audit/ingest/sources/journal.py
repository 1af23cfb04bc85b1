"""Feeds that this product itself makes: records are appended as things happen, and a run takes them as deliveries.

The records of an hour gather in a hidden file of the hour's folder. A run over the hour seals the file before it looks
for deliveries: it gets a name of its own, by which it is a delivery like any other, and is never written to again. So
no record is in two deliveries, however often runs come and whoever is killed when; and there is a file for each run
that found something new, not for each record.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

from activity_audit.base.files import sync
from activity_audit.base.hours import HOUR_FOLDER, floor_hour, from_hour_folder
from activity_audit.ingest.sources.files import FileSource

_OPEN = ".open.ndjson"
_LOCK = ".lock"
# Appending takes milliseconds; a lock held for this long is held by a process that hangs.
_PATIENCE = 20.0


@dataclass
class _Waiting:
    """A line that somebody wants on record, in the folder of its hour."""

    folder: Path
    line: bytes
    is_done: bool = False
    error: OSError | None = None


class Journal:
    """The folder `root`, in which each feed of ours has a folder as every feed has. Any thread may use it."""

    def __init__(self, root: Path, feed: str) -> None:
        self._root = root
        self._folder = root / feed
        self._feed = feed
        self._waiting: list[_Waiting] = []
        self._changing = threading.Lock()
        self._writing = threading.Lock()

    def append(self, record: Mapping[str, str], at: datetime) -> None:
        """Add a record to the hour of `at`; when this returns, it outlives a power failure.

        What others want on record meanwhile is written with the next one: the disk brings all of it in the time of one.

        Raises:
            OSError: if it cannot be written, a lock that cannot be had among the causes.
        """
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        mine = _Waiting(self._folder / f"{floor_hour(at):{HOUR_FOLDER}}", line)
        with self._changing:
            self._waiting.append(mine)
        with self._writing:
            if not mine.is_done:
                self._write_waiting()
        if mine.error:
            raise mine.error

    def _write_waiting(self) -> None:
        with self._changing:
            waiting, self._waiting = self._waiting, []
        try:
            for folder in dict.fromkeys(one.folder for one in waiting):
                together = [one for one in waiting if one.folder == folder]
                error: OSError | None = None
                try:
                    with self.locked():
                        self._append(folder, b"".join(one.line for one in together))
                except OSError as failed:
                    error = failed
                for one in together:
                    one.error, one.is_done = error, True
        finally:
            # Where this thread is stopped, those that wait write for themselves.
            with self._changing:
                self._waiting[:0] = [one for one in waiting if not one.is_done]

    def _append(self, folder: Path, lines: bytes) -> None:
        is_new_folder = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _OPEN
        is_new = not path.exists()
        with path.open("ab", buffering=0) as file:
            begun = file.tell()
            # A line that a power failure cut short is ended here, so that it takes no other with it.
            torn = begun > 0 and not _ends_with_newline(path)
            try:
                _write_all(file.fileno(), (b"\n" if torn else b"") + lines)
                os.fsync(file.fileno())
            except OSError:
                file.truncate(begun)
                raise
        if is_new:
            for changed in (folder, *([folder.parent, self._folder, self._root] if is_new_folder else [])):
                sync(changed)

    def seal(self, window: tuple[datetime, datetime]) -> None:
        """Make deliveries of everything that was appended so far for the hours of the half-open window.

        Raises:
            OSError: if the folder cannot be written.
        """
        if not any(window[0] <= hour < window[1] for hour in self.unsealed()):
            return
        with self.locked():
            for hour, (path, _) in self.unsealed().items():
                if window[0] <= hour < window[1]:
                    path.replace(path.with_name(f"{uuid4()}.ndjson"))
                    sync(path.parent)

    def unsealed(self) -> dict[datetime, tuple[Path, int]]:
        """The hours with records that are in no delivery yet, each with its file and the size of it."""
        found = {}
        for path in self._folder.glob(f"*/*/{_OPEN}"):
            try:
                found[from_hour_folder(path.parent.relative_to(self._folder).as_posix())] = path, path.stat().st_size
            except FileNotFoundError:
                # A run has sealed it meanwhile.
                continue
        return found

    def source(self) -> FileSource:
        """What was sealed, as a source of feeds."""
        return FileSource(str(self._root), [self._feed])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nothing is appended or sealed while the block runs, which must be short."""
        self._root.mkdir(parents=True, exist_ok=True)
        with FileLock(self._root / _LOCK, timeout=_PATIENCE):
            yield


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
