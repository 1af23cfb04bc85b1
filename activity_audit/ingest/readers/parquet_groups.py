"""The rows of one row group of a Parquet file; every row is accounted for, also in a damaged file.

A row group is read in batches. Where that fails, each column is read by itself, in the end row by row, so that only
what is damaged is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from activity_audit.ingest.readers.parquet_plan import Plan

# Arrow says it in words where it has no class for it.
_NO_MEMORY = ("bad_alloc", "not enough memory", "out of memory", "alloc of size")
# The batches of these columns of the file, or of all, of so many rows each.
Reader = Callable[[Sequence[int] | None, int], Iterator[Any]]


@dataclass(frozen=True)
class DamagedRow:
    """A row that cannot be read whole: it counts from 1 in its row group.

    `why` says it for each column that is missing, and `rest` has the value of each other one, as an array; both by the
    column's number in the schema.
    """

    row: int
    why: Mapping[int, str]
    rest: Mapping[int, Any]


def errors() -> tuple[type[Exception], ...]:
    """What Arrow raises for a file that is damaged, and for some other reasons: see `raise_if_real`."""
    return pa.ArrowException, OSError, ValueError


def raise_if_real(error: Exception) -> None:
    """Raise what is not the file's fault: a failing disk, and a lack of memory, which Arrow may have met.

    Arrow's own complaints about a file are OSErrors without a number; a failing disk's have one.
    """
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY):
        raise MemoryError(str(error)) from error


def group_rows(read: Reader, plan: Plan, leaves: Sequence[Sequence[int]], rows: int) -> Iterator[Any]:
    """The `rows` rows of a row group in order: lists of columns where they are good, else damaged rows.

    `leaves` are the numbers of the file's columns that are in each column of the schema, of which there are some.
    """
    done = 0
    if plan.is_readable:
        try:
            for batch in read(None, plan.batch_rows):
                yield batch.columns
                done += batch.num_rows
        except errors() as error:
            raise_if_real(error)
    if done < rows:
        yield from _by_columns([_Column(read, plan, numbers, done) for numbers in leaves], done, rows)


def _by_columns(columns: list[_Column], done: int, rows: int) -> Iterator[list[Any] | DamagedRow]:
    while done < rows:
        parts = {number: part for number, column in enumerate(columns) if (part := column.peek()) is not None}
        count = min((len(part) for part in parts.values()), default=rows - done)
        count = min(count, rows - done)
        if len(parts) == len(columns):
            yield [part.slice(0, count) for part in parts.values()]
        else:
            why = {number: column.error for number, column in enumerate(columns) if number not in parts}
            for row in range(count):
                yield DamagedRow(done + row + 1, why, {n: part.slice(row, 1) for n, part in parts.items()})
        for number in parts:
            columns[number].advance(count)
        done += count


class _Column:
    """One column of the schema, from the row `start` on; what is read of it and not yet taken is `peek`."""

    def __init__(self, read: Reader, plan: Plan, numbers: Sequence[int], start: int) -> None:
        self._read = read
        self._numbers = numbers
        broken = [chunk for chunk in (plan.chunks[number] for number in numbers) if chunk.error]
        # Behind its last good page nothing is tried.
        self._most = min((0 if chunk.is_nested else chunk.values for chunk in broken), default=None)
        self.error = next((chunk.error for chunk in broken if chunk.error), "its values are not there")
        self._step = plan.batch_rows
        self._at = start
        self._batches: Iterator[Any] | None = None
        self._ready: Any = None

    def peek(self) -> Any:
        """Rows that come next, as an array; None if no more can be read, for which `error` is the reason."""
        while not self._ready and (self._most is None or self._at < self._most):
            if self._most is not None and self._at + self._step > self._most:
                self._one_by_one()
            try:
                self._ready = self._next()
            except errors() as error:
                raise_if_real(error)
                if self._step == 1:
                    self._most = self._at
                    self.error = str(error)
                else:
                    self._one_by_one()
            else:
                if self._ready is None:
                    self._most = self._at
                else:
                    self._at += len(self._ready)
        return self._ready or None

    def advance(self, rows: int) -> None:
        """These rows were taken."""
        self._ready = self._ready.slice(rows)

    def _one_by_one(self) -> None:
        """Read on row by row, so that all rows before what is damaged are had."""
        if self._step > 1:
            self._step = 1
            self._batches = None

    def _next(self) -> Any:
        """The next rows; None at the end."""
        if self._batches is None:
            self._batches = self._read(self._numbers, self._step)
            behind = 0
            while behind < self._at and (batch := next(self._batches, None)) is not None:
                behind += batch.num_rows
                if behind > self._at:
                    return batch.column(0).slice(batch.num_rows - (behind - self._at))
        batch = next(self._batches, None)
        return None if batch is None else batch.column(0)
