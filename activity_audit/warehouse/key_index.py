"""An index of the keys in `quality.known_event_id`, in the home: a look-up takes as long in any history.

It is a few sorted arrays on disk ("segments"), which are mapped into memory and searched in halves. Each run adds the
rows that were published since the last one, and merges segments, so that they stay few. It is made of the table, so it
may be lost. It may have more rows than the table, as a key only says where in the fact to look. Without a row that the
table has, an event could be published twice; so the index says how many rows it has and what their sum is
(`known_ids.digest_of`).
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import duckdb
import numpy as np
import pyarrow as pa
from duckdb.func import PythonUDFType
from filelock import FileLock

from activity_audit.base import files
from activity_audit.warehouse import known_ids
from activity_audit.warehouse.lake import ALIAS
from activity_audit.warehouse.lake_catalog import warehouse_id

_KEYS = 2**48
# So many rows take some 100 MB while they are sorted.
_ROWS_AT_A_TIME = 2_000_000
# A segment is merged with the one before it until that one has so many times its rows.
_RATIO = 4
# Rows that the table has no more stay, until there are so many times as many as it has.
_MOST = 1.5
# After so many keys, the pages that were read are let go, which the kernel counts as the process's memory.
_KEYS_AT_A_TIME = 1000
_HOUR_US = 3_600_000_000
_NAME = "index.json"
# So many rows of a segment are looked at when it is opened, for files that are not as they were written.
_SAMPLED = 1000

# Keys in order, and the hours since 1970 that belong to them.
Rows: TypeAlias = tuple[np.ndarray, np.ndarray]
_KEY, _HOUR = np.dtype("<i8"), np.dtype("<i4")


@dataclass(frozen=True)
class Segment:
    """So many rows, sorted by key, in `<name>.keys`, and their hours since 1970 in `<name>.hours`."""

    name: str
    rows: int
    # See `_sample`.
    sample: str


@dataclass(frozen=True)
class State:
    """What the index has: of a warehouse at a snapshot all rows of the table, which have this digest."""

    warehouse: str
    snapshot: int
    digest: tuple[int, int]
    segments: tuple[Segment, ...] = ()


class KeyIndex:
    """The index in `folder`. A process that looks up holds the segments that it has compared while others go on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: State | None = None
        self._segments: list[Rows] = []

    def covers(self, connection: duckdb.DuckDBPyConnection, snapshot: int) -> bool:
        """Whether what is held is known to be of the attached warehouse as it is at a snapshot."""
        held = self._held
        return held is not None and (held.warehouse, held.snapshot) == (warehouse_id(connection), snapshot)

    def follow(self, connection: duckdb.DuckDBPyConnection, snapshot: int, digest: tuple[int, int]) -> bool:
        """Add what was published up to a snapshot, at which all rows have this digest, and hold it.

        False where they have another one, or the index is to be made again.

        Raises:
            duckdb.Error: if the table cannot be read.
            OSError: if the index cannot be written.
        """
        with self._locked() as state:
            if state is None or state.warehouse != warehouse_id(connection) or state.snapshot > snapshot:
                return False
            if state.snapshot == snapshot:
                if state.digest == digest:
                    self._hold(state)
                return state.digest == digest
            if not _has_snapshot(connection, state.snapshot + 1):
                return False
            added, removed = (
                f"(select event_id_key, event_hour_utc from ducklake_table_{what}"
                f"('{ALIAS}', 'quality', 'known_event_id', {state.snapshot + 1}, {snapshot}))"
                for what in ("insertions", "deletions")
            )
            without = (0, 0)
            if connection.execute(f"select 1 from {removed} limit 1").fetchone():
                # Compaction takes rows away and adds the same.
                added, removed = f"({added} except all {removed})", f"({removed} except all {added})"
                without = _digest(connection, removed)
            new = _digest(connection, added)
            if known_ids.sum_of(state.digest, new, (-without[0], -without[1])) != digest:
                return False
            if sum(segment.rows for segment in state.segments) + new[0] > _MOST * digest[0] + _ROWS_AT_A_TIME:
                return False
            segments = [*state.segments, *self._write(new[0], _read(connection, added, new[0]))]
            self._keep(State(state.warehouse, snapshot, digest, tuple(self._few(segments))))
            return True

    def make(self, connection: duckdb.DuckDBPyConnection, snapshot: int) -> None:
        """Make the index of all rows that the table has at a snapshot, and hold it. Raises as `follow` does."""
        table = f"(from {known_ids.TABLE} at (version => {snapshot}))"
        with self._locked():
            digest = _digest(connection, table)
            segments = self._write(digest[0], _read(connection, table, digest[0]))
            self._keep(State(warehouse_id(connection), snapshot, digest, tuple(segments)))

    def find(self, keys: np.ndarray) -> Rows:
        """The rows that have one of these keys.

        Raises:
            RuntimeError: if nothing is held that was compared with the table.
        """
        if self._held is None:
            raise RuntimeError("the index of the published event ids was not brought up to date")
        wanted = np.unique(keys)
        found = [
            _found(segment, wanted[first : first + _KEYS_AT_A_TIME])
            for segment in self._segments
            for first in range(0, len(wanted), _KEYS_AT_A_TIME)
        ]
        return (
            np.concatenate([np.empty(0, np.int64), *(keys for keys, _ in found)]),
            np.concatenate([np.empty(0, np.int32), *(hours for _, hours in found)]),
        )

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Have the SQL function `known_event_rows` look up here; see `known_ids.look_up_by_scan`."""

        def rows(lists: pa.ChunkedArray) -> pa.Array:
            keys, hours = self.find(lists.combine_chunks().flatten().to_numpy(zero_copy_only=False))
            times = pa.array(hours.astype(np.int64) * _HOUR_US).cast(pa.timestamp("us"))
            found = pa.StructArray.from_arrays([pa.array(keys), times], names=["event_id_key", "event_hour_utc"])
            # All are put into the first list.
            ends = np.full(len(lists) + 1, len(keys), np.int32)
            ends[0] = 0
            return pa.ListArray.from_arrays(pa.array(ends), found)

        result = "STRUCT(event_id_key BIGINT, event_hour_utc TIMESTAMP)[]"
        connection.create_function(known_ids.FUNCTION, rows, ["BIGINT[]"], result, type=PythonUDFType.ARROW)

    @contextmanager
    def _locked(self) -> Iterator[State | None]:
        """What the index has; one process at a time changes it, and first removes what another one left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".lock"):
            state = self._state()
            self._remove_all_but(state.segments if state else ())
            yield state

    def _state(self) -> State | None:
        """What the index has; None where it is missing, or is not as it was written."""
        try:
            read = json.loads((self._folder / _NAME).read_text(encoding="utf-8"))
            segments = tuple(Segment(**one) for one in read.pop("segments"))
            state = State(**read | {"digest": tuple(read["digest"]), "segments": segments})
            is_whole = all(_sample(*self._open(segment)) == segment.sample for segment in segments)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        return state if is_whole else None

    def _keep(self, state: State) -> None:
        files.rewrite(self._folder / _NAME, json.dumps(asdict(state), indent=1))
        self._remove_all_but(state.segments)
        self._hold(state)

    def _hold(self, state: State) -> None:
        self._segments = [self._open(segment) for segment in state.segments]
        self._held = state

    def _remove_all_but(self, segments: Iterable[Segment]) -> None:
        names = {segment.name for segment in segments}
        for path in self._folder.iterdir():
            if path.suffix in (".keys", ".hours") and path.stem not in names:
                path.unlink()

    def _few(self, segments: Sequence[Segment]) -> list[Segment]:
        few: list[Segment] = []
        for segment in segments:
            few.append(segment)
            while len(few) > 1 and few[-2].rows < _RATIO * few[-1].rows:
                *few, before, last = few
                few += self._write(before.rows + last.rows, _merged(self._open(before), self._open(last)))
        return few

    def _write(self, count: int, rows: Iterator[Rows]) -> list[Segment]:
        if not count:
            return []
        name = uuid4().hex
        paths = self._paths(name)
        # Not by way of a map of memory: on a full disk, that ends the process.
        try:
            with paths[0].open("wb") as keys, paths[1].open("wb") as hours:
                for some_keys, some_hours in rows:
                    keys.write(some_keys.astype(_KEY, copy=False).data)
                    hours.write(some_hours.astype(_HOUR, copy=False).data)
            for path in paths:
                files.sync(path)
        except BaseException:
            for path in paths:
                path.unlink(missing_ok=True)
            raise
        return [Segment(name, count, _sample(*self._open_named(name)))]

    def _open(self, segment: Segment) -> Rows:
        return self._open_named(segment.name)

    def _open_named(self, name: str) -> Rows:
        keys, hours = self._paths(name)
        return _mapped(keys, _KEY), _mapped(hours, _HOUR)

    def _paths(self, name: str) -> tuple[Path, Path]:
        return self._folder / f"{name}.keys", self._folder / f"{name}.hours"


def _sample(keys: np.ndarray, hours: np.ndarray) -> str:
    """What tells a segment from another content of its files: how long they are, and some of their rows."""
    some = np.linspace(0, max(len(keys) - 1, 0), min(len(keys), _SAMPLED)).astype(np.int64)
    content = b"".join(column[some[some < len(column)]].tobytes() for column in (keys, hours))
    return f"{len(keys)} {len(hours)} {hashlib.sha256(content).hexdigest()}"


def _mapped(path: Path, kind: np.dtype) -> np.ndarray:
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), kind)


def _has_snapshot(connection: duckdb.DuckDBPyConnection, number: int) -> bool:
    query = f"select 1 from {ALIAS}.snapshots() where snapshot_id = ?"
    return connection.execute(query, [number]).fetchone() is not None


def _digest(connection: duckdb.DuckDBPyConnection, rows: str) -> tuple[int, int]:
    ((count, row_sum),) = connection.execute(known_ids.digest_of(rows)).fetchall()
    return count, row_sum


def _bounds(count: int) -> list[int]:
    """Keys that part so many rows into parts that are sorted at a time; hashes are spread evenly."""
    parts = ceil(count / _ROWS_AT_A_TIME)
    return [_KEYS * part // parts for part in range(1, parts)]


def _read(connection: duckdb.DuckDBPyConnection, rows: str, count: int) -> Iterator[Rows]:
    bounds = _bounds(count)
    for low, high in zip([None, *bounds], [*bounds, None], strict=True):
        where = [f"event_id_key >= {low}"] if low is not None else []
        where += [f"event_id_key < {high}"] if high is not None else []
        part = connection.execute(
            f"select event_id_key, cast(epoch_us(event_hour_utc) // {_HOUR_US} as integer) as hour from {rows} "
            f"where {' and '.join(where) or 'true'} order by event_id_key"
        ).fetchnumpy()
        yield part["event_id_key"], part["hour"]


def _merged(*segments: Rows) -> Iterator[Rows]:
    bounds = _bounds(sum(len(keys) for keys, _ in segments))
    edges = [[0, *np.searchsorted(keys, bounds), len(keys)] for keys, _ in segments]
    for part in range(len(bounds) + 1):
        some = [slice(edge[part], edge[part + 1]) for edge in edges]
        keys, hours = (
            np.concatenate([segment[column][rows] for segment, rows in zip(segments, some, strict=True)])
            for column in (0, 1)
        )
        order = np.argsort(keys, kind="stable")
        yield keys[order], hours[order]


def _found(segment: Rows, wanted: np.ndarray) -> Rows:
    """The rows of a segment that have one of the keys, which are in order."""
    keys, hours = segment
    first = np.searchsorted(keys, wanted)
    is_there = first < len(keys)
    is_there[is_there] = keys[first[is_there]] == wanted[is_there]
    first = first[is_there]
    last = np.searchsorted(keys, wanted[is_there], side="right")
    # The rows from each first to its last, one after another.
    times = last - first
    rows = np.repeat(last - np.cumsum(times), times) + np.arange(times.sum())
    found = keys[rows], hours[rows]
    for column in segment:
        pages: Any = column.base
        pages.obj.madvise(mmap.MADV_DONTNEED)
    return found
