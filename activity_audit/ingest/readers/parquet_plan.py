"""Plans how a row group of a Parquet file is read in bounded memory, from the sizes of its pages.

A footer can say what it likes; what is decoded is what the headers of the pages say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from activity_audit.base.delivery_limits import Limits
from activity_audit.ingest.readers.parquet_footer import ColumnChunk, Compact, DamageError, RowGroup

_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE = 2, 3
_DATA, _DICTIONARY, _DATA_V2 = 5, 7, 8
_VALUES = 1
_ENCODINGS = {_DATA: 2, _DICTIONARY: 2, _DATA_V2: 4}
_DELTA_BYTE_ARRAY = 7
_DICTIONARY_ENCODINGS = (2, 8)
BATCH_ROWS = 500
BATCH_BYTES = 16 << 20
# So large may a value be that is decoded for each row of a batch though the file has it once.
_WIDEST = BATCH_BYTES // BATCH_ROWS
_WIDEST_ROW = 4 * BATCH_BYTES
# What Arrow takes to read any column.
_COLUMN_BYTES = 4 << 10
# What a level and a value of a nested column take in Arrow at least.
_NESTED_VALUE_BYTES = 16
# The length of the longest value in the dictionary of a column, by the column's number and path; None if not known.
Longest = Callable[[int, str], int | None]


@dataclass(frozen=True)
class Page:
    """A page's header: its size in bytes when it is decompressed, its number of values, and how they are encoded.

    `length` is what it takes of the file with its header.

    Where it `repeats`, a value may be written as the beginning of the one before it; where it `refers`, as one of the
    dictionary. Then few bytes are many values.
    """

    size: int
    values: int
    is_dictionary: bool
    encoding: int | None
    length: int

    @property
    def repeats(self) -> bool:
        """Whether values are written by what they have in common with the one before."""
        return self.encoding == _DELTA_BYTE_ARRAY

    @property
    def refers(self) -> bool:
        """Whether values are written as places in the dictionary."""
        return self.encoding in _DICTIONARY_ENCODINGS


def pages(stream: BinaryIO, start: int, length: int) -> Iterator[Page]:
    """The pages of the column chunk that has these bytes of the file.

    Raises:
        DamageError: behind the last page that can be told.
    """
    if start < 0:
        raise DamageError("its pages begin before the file")
    at = start
    while at < start + length:
        header = Compact(stream, at)
        fields = header.struct()
        size, compressed = fields.get(_UNCOMPRESSED_SIZE), fields.get(_COMPRESSED_SIZE)
        kind = next((kind for kind in (_DATA, _DICTIONARY, _DATA_V2) if kind in fields), None)
        if not isinstance(size, int) or not isinstance(compressed, int) or size < 0 or compressed < 0:
            raise DamageError("a page has no size")
        end = header.at + compressed
        if kind is not None:
            inner = fields[kind]
            values = inner.get(_VALUES) if isinstance(inner, dict) else None
            if not isinstance(values, int) or values < 0:
                raise DamageError("a page has no number of values")
            yield Page(size, values, kind == _DICTIONARY, inner.get(_ENCODINGS[kind]), end - at)
        at = end


class Extent:
    """How many bytes of a file its pages may take together: a file can say of many columns that the same pages are
    theirs, and would take for ever.
    """

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, page: Page) -> None:
        """Another page is looked at.

        Raises:
            DamageError: if the pages so far are more than the file has.
        """
        self._left -= page.length
        if self._left < 0:
            raise DamageError("its pages are those of other columns")


@dataclass(frozen=True)
class Chunk:
    """What the pages of a column chunk say: sizes in bytes.

    Its good pages hold `values`; where that is not all of them, `error` says why. `widest` is the longest value that
    the dictionary may have. It is read as a dictionary where that is too much to be decoded for each row.
    """

    path: str
    is_nested: bool
    memory: int
    values: int
    batch_rows: int
    widest: int
    is_dictionary_first: bool
    error: str | None

    @property
    def as_dictionary(self) -> bool:
        """Whether it is read as a dictionary and places in it, which is slow where the dictionary is large."""
        return self.widest > _WIDEST


@dataclass(frozen=True)
class Plan:
    """How to read a row group: so many rows at a time, and these columns as dictionaries."""

    batch_rows: int
    dictionaries: Sequence[str]
    chunks: Sequence[Chunk]

    @property
    def is_readable(self) -> bool:
        """Whether all pages are there."""
        return not any(chunk.error for chunk in self.chunks)


def plan(stream: BinaryIO, schema: Any, group: RowGroup, limits: Limits, extent: Extent, longest: Longest) -> Plan:
    """How the row group is read; `schema` is the file's own, of its columns, and `extent` of all its row groups.

    Raises:
        DeliveryError: if it takes more memory than `limits` say.
    """
    chunks = [
        _chunk(stream, schema.column(index), column, group.rows, limits, extent)
        for index, column in enumerate(group.columns)
    ]
    needed = sum(chunk.memory for chunk in chunks)
    if needed > limits.delivery_memory:
        raise limits.too_much_memory("a row group", needed)
    for index, chunk in enumerate(chunks):
        if chunk.as_dictionary and chunk.is_dictionary_first and not chunk.is_nested:
            known = longest(index, chunk.path)
            chunks[index] = chunk if known is None else replace(chunk, widest=known)
    widest_row = sum(chunk.widest for chunk in chunks if not chunk.as_dictionary)
    batch_rows = min((chunk.batch_rows for chunk in chunks), default=BATCH_ROWS)
    batch_rows = max(1, min(batch_rows, _WIDEST_ROW // max(widest_row, 1)))
    return Plan(batch_rows, [chunk.path for chunk in chunks if chunk.as_dictionary], chunks)


def _chunk(stream: BinaryIO, column: Any, chunk: ColumnChunk, rows: int, limits: Limits, extent: Extent) -> Chunk:
    dictionary = largest = values = 0
    densest = 0.0
    is_dictionary_first = False
    error = None
    try:
        for page in pages(stream, chunk.start, chunk.length):
            extent.take(page)
            if page.size > max(chunk.uncompressed, 0) and page.size > limits.delivery_memory // 2:
                raise DamageError(f"a page says that it has {page.size} bytes, its column fewer")
            if page.is_dictionary:
                dictionary = max(dictionary, page.size)
                continue
            is_dictionary_first = is_dictionary_first or (not values and page.refers)
            largest = max(largest, page.size)
            values += page.values
            # A value that repeats the one before it may be as large as the page.
            densest = max(densest, page.size if page.repeats else page.size / max(page.values, 1))
            if values >= chunk.values:
                break
        else:
            error = "its pages end before its values" if values < chunk.values else None
    except DamageError as broken:
        error = str(broken)
    if column.physical_type == "FIXED_LEN_BYTE_ARRAY":
        # A null has the width of a value in memory.
        densest, largest = max(densest, column.length), max(largest, column.length)
    is_nested = column.max_repetition_level > 0
    memory = dictionary + largest + _COLUMN_BYTES
    if is_nested:
        memory += values * _NESTED_VALUE_BYTES
        densest = max(densest, _NESTED_VALUE_BYTES) * max(values / max(rows, 1), 1)
    return Chunk(
        path=column.path,
        is_nested=is_nested,
        memory=memory,
        values=values,
        batch_rows=min(BATCH_ROWS, max(1, math.floor(BATCH_BYTES / densest))) if densest else BATCH_ROWS,
        widest=dictionary if column.physical_type == "BYTE_ARRAY" else 0,
        is_dictionary_first=is_dictionary_first,
        error=error,
    )
