"""CSV files to record batches: each data row becomes a JSON object under the header's own names.

A row that does not fit its header is kept as its own text, as an unparseable record. A quote that never
closes must not swallow the rows after it: such a row is given up at the end of its first line.
"""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from orchestration.feeds import records
from orchestration.feeds.read_lines import broken_stream
from orchestration.feeds.streams import BrokenStreamError

if TYPE_CHECKING:
    import pyarrow as pa

_DELIMITERS = ",;\t|"
csv.field_size_limit(2**31 - 1)


class _UnfinishedRowError(Exception):
    """A row spans more text than any record may have."""


class _Lines:
    """The lines of a stream, with those of the current row remembered so that they can be read again."""

    def __init__(self, stream: BinaryIO, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._pending: deque[str] = deque()
        self.row: list[str] = []
        self._size = 0
        self.error: BrokenStreamError | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._size > self._max_bytes and len(self.row) > 1:
            raise _UnfinishedRowError
        if self._pending:
            line = self._pending.popleft()
        else:
            try:
                content = self._stream.readline()
            except BrokenStreamError as error:
                self.error = error
                content = b""
            if not content:
                raise StopIteration
            line = content.decode("utf-8", errors="surrogateescape")
        self.row.append(line)
        self._size += len(line)
        return line

    def next_row(self) -> None:
        """Forget the lines of the current row."""
        self.row = []
        self._size = 0

    def give_up_row(self) -> str:
        """The first line of the current row; the others will be read again as rows of their own."""
        first, *others = self.row
        self._pending.extendleft(reversed(others))
        self.next_row()
        return first


def read_csv(stream: BinaryIO, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The data rows of a CSV file with a header, in batches; blank lines are no rows."""
    return records.to_batches(_rows(stream, max_bytes))


def _rows(stream: BinaryIO, max_bytes: int) -> Iterator[records.Record]:
    lines = _Lines(stream, max_bytes)
    header: list[str] | None = None
    delimiter = ","
    while True:
        if header is None:
            first = next((line for line in lines if line.strip()), None)
            if first is None:
                break
            first = first.removeprefix("\ufeff")
            delimiter = max(_DELIMITERS, key=first.count)
            try:
                header = _unique(next(csv.reader([first], delimiter=delimiter, strict=True)))
            except csv.Error:
                header = [first.strip()]
            lines.next_row()
        ended = yield from _rows_until_trouble(lines, header, delimiter, max_bytes)
        if ended:
            break
    if lines.error is not None:
        yield broken_stream(lines.error)


def _rows_until_trouble(
    lines: _Lines, header: list[str], delimiter: str, max_bytes: int
) -> Iterator[records.Record]:
    """Rows up to the first one that does not parse; returns whether the file ended."""
    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    width = len(header)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return True
        except (csv.Error, _UnfinishedRowError):
            yield _unfit(lines.give_up_row(), max_bytes)
            return False
        if len(row) == width:
            text = encoder(dict(zip(header, row, strict=True)))
            size = sum(map(len, lines.row))
            if size > max_bytes or not text.isascii():
                yield _careful(text, lines.row, max_bytes)
            else:
                yield records.Record(text, length=size)
            lines.next_row()
        elif not row or not any(lines.row) or not "".join(lines.row).strip():
            lines.next_row()
        elif len(lines.row) > 1:
            yield _unfit(lines.give_up_row(), max_bytes)
            return False
        else:
            yield _unfit("".join(lines.row), max_bytes)
            lines.next_row()


def _unique(names: list[str]) -> list[str]:
    """Header names, trimmed; a repeated one is numbered, so that no column is lost."""
    seen: dict[str, int] = {}
    unique = []
    for name in map(str.strip, names):
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unique


def _careful(text: str, lines: list[str], max_bytes: int) -> records.Record:
    """A row that may be too large or undecodable: its own bytes decide."""
    content = "".join(lines).encode("utf-8", errors="surrogateescape").rstrip(b"\r\n")
    record = records.from_bytes(content, max_bytes)
    return record if record.problem else records.Record(text, length=len(content))


def _unfit(line: str, max_bytes: int) -> records.Record:
    content = line.encode("utf-8", errors="surrogateescape").rstrip(b"\r\n")
    return records.from_bytes(content, max_bytes, "unparseable")
