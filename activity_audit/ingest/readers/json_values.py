"""One value of a JSON delivery after the other as a record, also from a delivery that is damaged.

A value that does not end where it should must not swallow the values after it: it is cut where the next one
visibly begins. How often text is read twice for that is bounded, so that no file takes long.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from typing import Any

from activity_audit.ingest.readers import json_text
from activity_audit.ingest.readers.json_window import SPACE, SPACES, STRICT, Scanner, Window
from activity_audit.ingest.readers.streams import BLOCK
from activity_audit.raw import records

_PATIENCE = 4 << 20
_PATIENCE_FACTOR = 4
_NOWHERE = sys.maxsize
_SCALAR_END = re.compile(r"[,\]\r\n{]")
_LINE_END = re.compile(r"[\r\n]")

_PAGE = re.compile(r'"values"\s*:\s*\[\s*')
_PLAIN_VALUE = re.compile(r'[\["\d-]')
_ERROR_NAMES = {"error", "errors", "fault", "exception"}
_NO_ERROR = {"null", "false", "0", '""', "[]", "{}"}
_RECORD_FIELDS = {"eventid", "eventtime", "eventtimeutc"}

Finder = Callable[[str, int], int | None]


def is_page(value: Any) -> bool:
    """Whether a JSON value is a page of records, not a record that happens to have a field `values`."""
    if not isinstance(value, dict) or not isinstance(value.get("values"), list):
        return False
    names = {re.sub("[^a-z]", "", name.lower()) for name in value}
    return names.isdisjoint(_RECORD_FIELDS) and all(isinstance(item, dict) for item in value["values"][:1])


def says_error(name: str, value: str) -> bool:
    """Whether a member of a page, its name and value as JSON texts, says that the source could not answer."""
    return name.strip('"').lower() in _ERROR_NAMES and value not in _NO_ERROR


def objects_in(line: str) -> list[str]:
    """The texts of the objects that a line has one after the other, if it has nothing else; else none."""
    found: list[str] = []
    at = 0
    while at < len(line):
        end = _end_of_object(line, at)
        if end is None:
            return []
        found.append(line[at:end])
        at = _after_space(line, end)
    return found


def begins_with_several(text: str) -> bool:
    """Whether a text begins with a whole object and the beginning of another."""
    end = _end_of_object(text, _after_space(text, 0))
    return end is not None and text.startswith("{", _after_space(text, end))


def _after_space(text: str, start: int) -> int:
    match = SPACES.match(text, start)
    assert match is not None
    return match.end()


def _end_of_object(text: str, start: int) -> int | None:
    if not text.startswith("{", start):
        return None
    try:
        return STRICT.raw_decode(text, start)[1]
    except (ValueError, RecursionError):
        return None


class Values:
    """Consumes values from a window; `unfinished` tells whether the last one went on to the end of the file."""

    def __init__(self, window: Window, max_bytes: int) -> None:
        self._window = window
        self._max_bytes = max_bytes
        self._patience = _PATIENCE
        self._siblings_text = ""
        self._siblings: dict[int, tuple[int, int]] = {}
        self.unfinished = False

    def whole(self, end: int) -> records.Record:
        """The strict JSON up to the index `end` of the window's text."""
        self.unfinished = False
        return self._record(self._window.take(end), strict=True)

    def value(self) -> records.Record:
        """The value at the cursor, to which `peek` has moved, or what stands in its place."""
        window = self._window
        self.unfinished = False
        opening = window.text[window.at]
        if opening not in '{["':
            return self._until(_SCALAR_END)
        decoded = window.decode() if opening != '"' else None
        return self.whole(decoded[1]) if decoded else self._scanned()

    def opens_page(self) -> bool:
        """Whether the object at the cursor is a page, as far as the window shows."""
        window = self._window
        while len(window.text) - window.at < BLOCK and window.more():
            pass
        stop = None if self._patience >= 0 else self._next_sibling(window.column, 0)
        end = Scanner().feed(window.text, window.at, stop)
        if end is None and stop is None:
            self._patience -= len(window.text) - window.at
        end = end or stop or len(window.text)
        scanner = Scanner()
        seen = window.at
        for match in _PAGE.finditer(window.text, window.at, end):
            scanner.feed(window.text, seen, match.start())
            seen = match.start()
            if scanner.depth == 1 and not scanner.in_string:
                try:
                    before = json.loads(window.text[window.at : seen] + '"values":[]}')
                except (ValueError, RecursionError):
                    return False
                return is_page(before) and not _PLAIN_VALUE.match(window.text, match.end())
        return False

    def gap(self, commas: int) -> records.Record:
        """What stands for values that are missing before so many commas."""
        return self.unparseable("," * commas)

    def unparseable(self, text: str) -> records.Record:
        """A text that is no record."""
        return records.from_bytes(_bytes(text), self._max_bytes, "unparseable")

    def line(self) -> records.Record:
        """The rest of the line, which is no JSON that could be a record."""
        return self._until(_LINE_END)

    def _until(self, pattern: re.Pattern[str]) -> records.Record:
        """The text up to the pattern; at least one character."""
        window = self._window
        seen = 1
        while True:
            match = pattern.search(window.text, window.at + seen)
            if match:
                return self._record(window.take(match.start()).rstrip(SPACE))
            seen = len(window.text) - window.at
            if seen > self._max_bytes:
                return self._stream(lambda text, start: (found := pattern.search(text, start)) and found.start())
            if not window.more():
                self.unfinished = True
                return self._record(window.take(len(window.text)).rstrip(SPACE))

    def _scanned(self) -> records.Record:
        """The array, object or string at the cursor, by its brackets and quotes."""
        window = self._window
        column = window.column
        scanner = Scanner()
        seen = 0
        while True:
            stop = None if self._patience >= 0 else self._next_sibling(column, seen)
            end = scanner.feed(window.text, window.at + seen, stop)
            if end is not None and not scanner.broken and not scanner.doubtful:
                return self._record(window.take(end))
            seen = (stop or len(window.text)) - window.at
            if end is not None or stop is not None:
                return self._cut(column, end if end is not None else len(window.text))
            if seen > self._max_bytes:
                if self._next_sibling(column, 0) is not None:
                    return self._cut(column, len(window.text))
                return self._stream(scanner.feed)
            if not window.more():
                self.unfinished = True
                return self._cut(column, len(window.text))

    def _cut(self, column: int, end: int) -> records.Record:
        """The text up to the first line on which a sibling of the value begins, or else up to `end`."""
        window = self._window
        sibling = self._next_sibling(column, 0)
        if sibling is not None and sibling < end:
            self._patience -= end - sibling
            self.unfinished = False
            end = sibling
        # White space is left for `peek`, which tells by it where the next value stands.
        text = window.take(window.at + len(window.text[window.at : end].rstrip(SPACE)))
        return self._record(text.removesuffix(",").rstrip(SPACE), broken=True)

    def _next_sibling(self, column: int, seen: int) -> int | None:
        """Where a line begins an object that is indented no deeper than the value at the cursor.

        The last answer for every column is remembered: without that, many small broken values on one long line
        would each search all of it.
        """
        text = self._window.text
        start = self._window.at + max(seen - column - 1, 1)
        if self._siblings_text is not text:
            self._siblings_text = text
            self._siblings = {}
        since, sibling = self._siblings.get(column, (0, 0))
        if not since <= start < sibling:
            match = re.compile(rf"\n[ \t]{{0,{column}}}(?=\{{)").search(text, start)
            sibling = match.end() if match else _NOWHERE
            self._siblings[column] = (start, sibling)
        return None if sibling == _NOWHERE else sibling

    def _stream(self, find_end: Finder) -> records.Record:
        """A value that is too large to be held, up to where `find_end` finds its end in what is still unread."""
        window = self._window
        whole = records.Summary()
        whole.add(_bytes(window.take(len(window.text))))
        while window.more():
            end = find_end(window.text, 0)
            whole.add(_bytes(window.take(len(window.text) if end is None else end)))
            if end is not None:
                break
        else:
            self.unfinished = True
        return whole.record()

    def _record(self, text: str, strict: bool = False, broken: bool = False) -> records.Record:
        self._patience = min(self._patience + _PATIENCE_FACTOR * len(text), _PATIENCE)
        if strict and len(text) <= self._max_bytes and text.isascii():
            return records.Record(text, length=len(text))
        unparseable = broken or (not strict and json_text.is_lenient(text))
        return records.from_bytes(_bytes(text), self._max_bytes, "unparseable" if unparseable else None)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")
