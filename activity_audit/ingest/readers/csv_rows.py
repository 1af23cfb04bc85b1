"""CSV rows one by one, by Python's strict parser: the rows that are not plain, and the header.

A quote that never closes must not swallow the rows after it: such a row is given up at the end of its first
line, and what follows is read again. How often is bounded by what the file has, so that no file takes long.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from activity_audit.ingest.readers import json_text
from activity_audit.ingest.readers.csv_lines import Lines
from activity_audit.raw import records

# The names that a field of a record may have, in lower case; the same as in the dbt macro `field_names`.
KNOWN = frozenset(
    {
        "application", "entity", "activity", "eventtime", "event_time", "event time (utc)", "eventid", "event_id",
        "event id", "triggeredby", "triggered_by", "triggered by", "instance", "outcome", "comments",
    }
)  # fmt: skip
# What a cell of a record has, and no name of a column: an outcome, or the beginning of a time.
_VALUE = re.compile(r"success|failure|\d{4}-?\d\d-?\d\d[T ]\d\d.*|\d\d?/\d\d?/\d{4}.*", re.IGNORECASE | re.DOTALL)
_DELIMITERS = ",;\t|"
_WHITE_SPACE = b" \t\r\n\x0b\x0c"
_QUOTED = re.compile(r'"[^"]*(?:""[^"]*)*"?')
_HEADER_LINES = 100
# Reports put a title and its filters above the table; so many lines are looked at, and a header below them must name
# so many known fields, since a title may well have one of these words.
_TITLE_LINES = 20
_UNDER_TITLES = 3
_SEPARATOR = re.compile(rb'"?sep=([^"\r\n])"?\r?', re.IGNORECASE)
_PATIENCE = 4 << 20
_PATIENCE_FACTOR = 4
csv.field_size_limit(2**31 - 1)


def known_fields(names: Iterable[str]) -> int:
    """How many different known names these have, in any case; 0 if one of them is a value, as of a record."""
    cleaned = [name.strip() for name in names]
    if any(_VALUE.fullmatch(name) for name in cleaned):
        return 0
    return len(KNOWN.intersection(name.lower() for name in cleaned))


class _RowTooLargeError(Exception):
    """A row of several lines has more text than a record may have."""


def plain_row(delimiter: str, width: int, end: str) -> str:
    """A regular expression for a line that is a whole row of `width` fields, or empty; `end` is its end of text."""
    mark = re.escape(delimiter)
    field = f'(?:[^"\\r\\n{mark}]*|"[^"\\r\\n]*(?:""[^"\\r\\n]*)*")'
    return rf"\A(?:{field}(?:{mark}{field}){{{width - 1}}})?{end}"


@dataclass(frozen=True)
class Header:
    """The column names of a CSV file, no two the same, its delimiter, and the lines of text above it.

    A file without a header has no names; its lines so far are all in `above`.
    """

    names: list[str]
    delimiter: str
    above: list[bytes]


def read_header(lines: Lines, max_bytes: int) -> Header:
    """Find the header: the first line that names a known field, or one soon after it that names several.

    A line `sep=;` before it, as spreadsheets write it, names the delimiter and is no text. Every record will
    have the names, so what is larger than a record may be is no header.
    """
    delimiter = None
    above: list[bytes] = []
    while len(above) < _TITLE_LINES and lines.more():
        lines.begin_row()
        first = lines.next()
        if not first.strip(_WHITE_SPACE):
            continue
        if not above and delimiter is None and (declared := _SEPARATOR.fullmatch(first)):
            delimiter = declared[1].decode()
            continue
        names, marked = _names(lines, delimiter, max_bytes)
        if known_fields(names) >= (_UNDER_TITLES if above else 1):
            return Header(unique(names), marked, above)
        lines.give_up_row()
        above.append(first.removesuffix(b"\r"))
    return Header([], delimiter or ",", above)


def _names(lines: Lines, declared: str | None, max_bytes: int) -> tuple[list[str], str]:
    """The row at the mark, whose first line is read, as column names, and their delimiter; none where it is no row."""
    row = lines.row()
    # What is read of a header that never ends is held.
    while row.count(b'"') % 2 and len(row) <= max_bytes and lines.at - lines.mark < _HEADER_LINES and lines.more():
        lines.next()
        row = lines.row()
    if len(row) > max_bytes:
        return [], declared or ","
    text = row.decode("utf-8", errors="backslashreplace")
    delimiter = declared or max(_DELIMITERS, key=_QUOTED.sub("", text).count)
    try:
        (names,) = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except (csv.Error, ValueError):
        return [], delimiter
    return [name.strip() for name in names], delimiter


def unique(names: Sequence[str]) -> list[str]:
    """The names, a repeated one numbered, so that no column is lost."""
    times: dict[str, int] = {}
    result: dict[str, None] = {}
    for name in names:
        candidate = name
        while candidate in result:
            times[name] = times.get(name, 1) + 1
            candidate = f"{name} ({times[name]})"
        result[candidate] = None
    return list(result)


class Rows:
    """Reads the row at the cursor of `lines`."""

    def __init__(self, lines: Lines, names: Sequence[str], delimiter: str, max_bytes: int) -> None:
        self._lines = lines
        self._names = names
        self._delimiter = delimiter
        self._max_bytes = max_bytes
        self._mark = delimiter.encode()
        self._white_space = _WHITE_SPACE.replace(self._mark, b"")
        self._plain = re.compile(plain_row(delimiter, max(len(names), 1), r"\r?\Z").encode())
        self._patience = _PATIENCE

    def next(self) -> records.Record | None:
        """The row at the cursor, which is the mark, as a record; None for a blank line. There must be a line."""
        lines = self._lines
        record = self._row()
        size = sum(map(len, lines.rest_of_row()), len(lines.row()))
        self._patience = min(self._patience + _PATIENCE_FACTOR * size, _PATIENCE)
        return record

    def line(self) -> records.Record | None:
        """The line at the cursor, under no header, as a record; None for a blank one. There must be a line."""
        line = self._lines.next()
        if not line.strip(_WHITE_SPACE):
            return None
        return records.from_bytes(line.removesuffix(b"\r"), self._max_bytes, "unparseable")

    def _row(self) -> records.Record | None:
        lines = self._lines
        try:
            values = next(csv.reader(self._texts(), delimiter=self._delimiter, strict=True), None)
        except csv.Error:
            return self._give_up()
        except _RowTooLargeError:
            if any(map(self._is_plain, lines.rest_of_row())):
                return self._give_up()
            return self._too_large()
        if values is None:
            return None
        if len(values) == len(self._names):
            content = lines.row()
            record = records.from_bytes(content, self._max_bytes)
            if record.problem:
                return record
            text = json_text.encode(dict(zip(self._names, values, strict=True)))
            return records.Record(text, length=len(content))
        return self._give_up()

    def _texts(self) -> Iterator[str]:
        """The row's lines for the parser, which takes as many as it needs; none for a blank one."""
        lines = self._lines
        line = lines.next()
        if not line.strip(self._white_space):
            return
        size = len(line)
        while True:
            yield (line + lines.end).decode("utf-8", errors="surrogateescape")
            if self._patience < 0 or not lines.more():
                return
            if size > self._max_bytes and lines.at - lines.mark > 1:
                raise _RowTooLargeError
            line = lines.next()
            size += len(lines.end) + len(line)

    def _is_plain(self, line: bytes) -> bool:
        """Whether a line is by itself a whole row of several fields, so that no quote should be open before it."""
        fields = line.count(self._mark) + 1
        return fields >= len(self._names) > 1 and bool(self._plain.match(line))

    def _give_up(self) -> records.Record:
        """The row's first line, unparseable; its other lines will be rows of their own."""
        self._patience -= self._lines.give_up_row()
        return records.from_bytes(self._lines.row(), self._max_bytes, "unparseable")

    def _too_large(self) -> records.Record:
        """The row up to where its quote closes, or to a line that can only be the next row."""
        lines = self._lines
        whole = records.Summary()
        whole.add(lines.row())
        while True:
            lines.begin_row()
            if not lines.more():
                break
            line = lines.next()
            if self._is_plain(line):
                lines.at -= 1
                break
            closes = line.count(b'"') % 2 == 1
            whole.add(lines.end + (line.removesuffix(b"\r") if closes else line))
            if closes:
                break
        return whole.record()
