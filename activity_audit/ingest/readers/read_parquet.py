"""Parquet deliveries to record batches: each row becomes a JSON object of texts under the columns' names.

Every row of the file becomes a record. A row that cannot be read whole becomes one that says why, with what can be read
of it. What the machine lacks to read a file is an error, never a record.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from activity_audit.base.delivery_limits import Limits
from activity_audit.ingest.readers import json_text
from activity_audit.ingest.readers.parquet_file import ParquetFile
from activity_audit.ingest.readers.parquet_footer import RowGroup
from activity_audit.ingest.readers.parquet_groups import DamagedRow, errors, group_rows, raise_if_real
from activity_audit.ingest.readers.parquet_plan import BATCH_BYTES, plan
from activity_audit.ingest.readers.parquet_values import column_values, count, size, texts
from activity_audit.raw import records

# What a value in a list takes as a Python object, and again as text.
_VALUE_BYTES = 200


def read_parquet(stream: BinaryIO, max_bytes: int, limits: Limits) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, in order.

    A file that is no Parquet file is one unparseable record, its content.

    Raises:
        DeliveryError: if it takes more than `limits` say.
    """
    try:
        file = ParquetFile(stream, limits)
    except errors() as error:
        raise_if_real(error)
        yield from records.to_batches([unreadable(stream, max_bytes)])
        return
    rows = _Rows(file.names, max_bytes, limits)
    missing = file.metadata.num_rows
    for number, group in enumerate(file.groups):
        missing -= group.rows
        there = _rows_of(group)
        yield from records.to_batches(_group(file, number, there, rows))
        if group.rows != there:
            reason = f"row group {number + 1} says that it has {group.rows} rows, its columns say {there}"
            yield from records.to_batches([records.broken_off(reason)])
    if missing:
        # A file that contradicts itself may have lost a whole row group from its list.
        reason = f"the file says that it has {file.metadata.num_rows} rows, its row groups differ by {missing}"
        yield from records.to_batches([records.broken_off(reason)])


def unreadable(stream: BinaryIO, max_bytes: int, reason: str | None = None) -> records.Record:
    """A file that is not what its name says, as one unparseable record with its bytes; `reason` is its text, if any."""
    stream.seek(0)
    content = stream.read(max(max_bytes, records.KEPT_BYTES) + 1)
    if len(content) <= max_bytes:
        if reason:
            return records.Record(reason, "unparseable", content, len(content))
        return records.from_bytes(content, max_bytes, "unparseable")
    stream.seek(0)
    # Every binary stream of ours has the `readinto` that is asked for; the type BinaryIO does not say so.
    digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    record = records.too_large(content, stream.seek(0, os.SEEK_END), digest)
    return replace(record, text=reason, content=content[: records.KEPT_BYTES]) if reason else record


def _rows_of(group: RowGroup) -> int:
    """How many rows a row group has: as many as it says, unless no column has values for so many."""
    return max(min(group.rows, max((column.values for column in group.columns), default=group.rows)), 0)


def _group(file: ParquetFile, group: int, there: int, rows: _Rows) -> Iterator[records.Record | pa.RecordBatch]:
    """All rows of a row group."""
    if not file.names:
        for _ in range(there):
            yield records.Record("{}", length=2)
        return
    planned = plan(
        file.stream,
        file.metadata.schema,
        file.groups[group],
        rows.limits,
        file.extent,
        lambda *column: file.longest(group, *column),
    )

    def read(columns: Sequence[int] | None, batch_rows: int) -> Iterator[Any]:
        return file.batches(group, columns, batch_rows, planned.dictionaries)

    for found in group_rows(read, planned, file.leaves, there):
        if isinstance(found, DamagedRow):
            yield rows.damaged(found, group)
        else:
            yield from rows.whole(found)


class _Rows:
    """Makes records of rows."""

    def __init__(self, names: Sequence[str], max_bytes: int, limits: Limits) -> None:
        self.limits = limits
        self._names = names
        self._max_bytes = max_bytes
        self._names_bytes = sum(len(name) + 6 for name in names)
        self._bytes = 0

    def whole(self, columns: Sequence[Any]) -> Iterator[records.Record | pa.RecordBatch]:
        """The records of rows that are whole, of which not many large ones are in memory at a time."""
        rows = len(columns[0])
        total = sum(map(size, columns)) + rows * self._names_bytes
        if rows > 1 and total > BATCH_BYTES:
            half = rows // 2
            yield from self.whole([column.slice(0, half) for column in columns])
            yield from self.whole([column.slice(half) for column in columns])
            return
        self._take(total)
        if rows == 1 and total > self._max_bytes:
            yield self._large(columns)
            return
        shown = [texts(column) for column in columns]
        if all(isinstance(column, pa.StringArray) for column in shown):
            yield from self._texts(shown)
            return
        # Some rows are no UTF-8, or have values that are no texts.
        lists = [column_values(column) for column in shown]
        for row in zip(*lists, strict=True):
            text = json_text.encode(dict(zip(self._names, row, strict=True)))
            yield records.from_bytes(_bytes(text), self._max_bytes)

    def damaged(self, row: DamagedRow, group: int) -> records.Record:
        """The record of a row that cannot be read whole: why, and the values of its other columns."""
        rest = {self._names[number]: column_values(texts(part))[0] for number, part in row.rest.items()
                if size(part) <= self._max_bytes}  # fmt: skip
        why = "; ".join(f"{self._names[number]}: {error}" for number, error in row.why.items())
        text = f"row {row.row} of row group {group + 1} is damaged ({why}); the rest of it: {json_text.encode(rest)}"
        self._take(len(text))
        return records.from_bytes(_bytes(text), self._max_bytes, "unparseable")

    def _texts(self, columns: list[Any]) -> Iterator[records.Record | pa.RecordBatch]:
        text = json_text.objects(self._names, columns)
        lengths = pc.binary_length(text)
        if (pc.max(lengths).as_py() or 0) <= self._max_bytes:
            yield records.text_batch(text, lengths)
            return
        for row in text:
            yield records.from_bytes(row.as_buffer().to_pybytes(), self._max_bytes)

    def _large(self, columns: Sequence[Any]) -> records.Record:
        """One row that is large, piece by piece: its text need not fit into memory."""
        values = sum(map(count, columns))
        if values * _VALUE_BYTES > self.limits.delivery_memory:
            raise self.limits.too_much_memory(f"a row of {values} values", values * _VALUE_BYTES)
        row = dict(zip(self._names, (column_values(texts(column))[0] for column in columns), strict=True))
        whole = records.Summary()
        head = bytearray()
        for piece in map(_bytes, _pieces(row)):
            whole.add(piece)
            if len(head) <= self._max_bytes:
                head += piece
        if len(head) <= self._max_bytes:
            return records.from_bytes(bytes(head), self._max_bytes)
        return whole.record()

    def _take(self, size: int) -> None:
        self._bytes += size
        if self._bytes > self.limits.delivery_bytes:
            raise self.limits.too_many_bytes()


_pieces = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).iterencode


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")
