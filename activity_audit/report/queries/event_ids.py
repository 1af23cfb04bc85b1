"""Which data files may have an event id: a Bloom filter for each file, twelve bits an event.

Ids are random, so that each file has some from everywhere, and what a file says of its smallest and largest tells
nothing. A filter never misses an id that is there; of files that have none of the ids it names three in a thousand.
Files never change; their filters are made once, and kept in the home: what is lost there is made again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import duckdb
import numpy as np

from activity_audit.base.sql_text import parquet_rows
from activity_audit.warehouse.extensions import connect

if TYPE_CHECKING:
    from activity_audit.report.queries.files import FactFile

    Bits = np.ndarray[tuple[int], np.dtype[np.uint8]]

# What a DuckDB may use that hashes some ids, or asks for a number.
LITTLE_MEMORY = "100MB"
_BITS_AN_EVENT = 12
_HASHES = 8
_LOW = 0xFFFFFFFF
_log = logging.getLogger(__name__)


class EventIds:
    """The filters of all files that any snapshot has; any thread may use it. They are kept in `folder`."""

    def __init__(self, folder: Path) -> None:
        # Another DuckDB may hash in another way.
        self._folder = folder / f"duckdb-{duckdb.__version__}"
        self._filters: dict[str, Bits] = {}
        self._hashing = connect(threads=1, memory_limit=LITTLE_MEMORY)
        self._lock = threading.Lock()

    def among(self, files: list[FactFile], ids: Sequence[str]) -> list[FactFile]:
        """Those of the files that may have one of the ids; the others certainly have none."""
        with self._lock:
            found = self._hashing.execute("select hash(id) from (select unnest(?) as id)", [list(ids)]).fetchall()
        hashes = [number for (number,) in found]
        return [file for file in files if self._may_have(file, hashes)]

    def learn(self, scanner: duckdb.DuckDBPyConnection, files: Iterable[FactFile]) -> None:
        """Make the filters that are not there yet, by reading the files; remove what is of no file any more."""
        files = list(files)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            _log.warning("an event is slow to find by its id: %s cannot be made: %s", self._folder, error.strerror)
            return
        for file in files:
            name = _name(file)
            if name not in self._filters:
                self._filters[name] = self._kept(file) if self._is_kept(file) else self._made(scanner, file)
        for gone in {path.name for path in self._folder.iterdir()} - {_name(file) for file in files}:
            self._filters.pop(gone, None)
            (self._folder / gone).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of what it hashes with."""
        with self._lock:
            self._hashing.close()

    def _may_have(self, file: FactFile, hashes: Iterable[int]) -> bool:
        bits = self._filters.get(_name(file))
        if bits is None:
            return True
        size = len(bits) * 8
        return any(all(bits[place >> 3] & (128 >> (place & 7)) for place in _places(number, size)) for number in hashes)

    def _is_kept(self, file: FactFile) -> bool:
        path = self._folder / _name(file)
        return path.is_file() and path.stat().st_size == _bytes(file)

    def _kept(self, file: FactFile) -> Bits:
        return np.memmap(self._folder / _name(file), np.uint8, "r")

    def _made(self, scanner: duckdb.DuckDBPyConnection, file: FactFile) -> Bits:
        query = f"select hash(event_id) as hash from {parquet_rows(file.path)}"
        hashes = scanner.execute(query).fetchnumpy()["hash"]
        size = _bytes(file) * 8
        flags = np.zeros(size, np.bool_)
        low, high = hashes & np.uint64(_LOW), hashes >> np.uint64(32)
        for number in range(_HASHES):
            flags[(low + np.uint64(number) * high) % np.uint64(size)] = True
        bits = np.packbits(flags)
        path = self._folder / _name(file)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with unfinished.open("wb") as written:
                written.write(bits.tobytes())
                written.flush()
                os.fsync(written.fileno())
            unfinished.replace(path)
        except OSError as error:
            # It is there as long as this process is.
            _log.warning("%s cannot be kept: %s", path, error.strerror or error)
            return bits
        return self._kept(file)


def _places(number: int, size: int) -> Iterable[int]:
    low, high = number & _LOW, number >> 32
    return ((low + place * high) % size for place in range(_HASHES))


def _bytes(file: FactFile) -> int:
    return max(8, -(-file.rows * _BITS_AN_EVENT // 8))


def _name(file: FactFile) -> str:
    return PurePosixPath(file.path).name
