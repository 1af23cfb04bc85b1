"""The values of a JSON text, one by one, as records, also where the text is damaged.

A value is what Python's own decoder takes. One that it refuses ends where its brackets close, or before the line on
which the next value visibly begins, so that it takes no other with it. How much is decoded in vain is bounded, and so
is what is held: no file takes long or much memory.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Any

from activity_audit.ingest.readers import json_text, streams
from activity_audit.ingest.readers.json_text import SPACE, STRICT
from activity_audit.raw import records

# How many characters may be decoded in vain; each that is consumed gives some back.
_PATIENCE = 4 << 20
_PATIENCE_FACTOR = 4
# A value that is indented deeper has no sibling.
_DEEPEST = 4096
_SCALAR_END = re.compile(r"[,\]}\r\n{]")
_MEMBER = re.compile(rf'[{SPACE},]*"([^"\\]*(?:\\.[^"\\]*)*)"[{SPACE}]*:[{SPACE}]*')

# From the index on: where the value ends, and True; or where to go on once more is read, and False.
Finder = Callable[[str, int], tuple[int, bool]]


class Brackets:
    """Finds where a value ends that no decoder takes: it is `closed` where its own brackets or quotes say so.

    It is broken before a `]` that only an array around it can own, before an object that stands in it without a name,
    as one does after a value that lacks its `}`, and before a line that begins an object no deeper than at `column`.
    """

    def __init__(self, column: int = 0) -> None:
        self.closed = False
        # A backslash or a line's beginning may also be cut by the end of what is read.
        sibling = rf"\n[ \t]{{0,{column}}}(?:(?=\{{)|\Z)"
        self._structure = re.compile(rf'[",:{{}}\[\]]|{sibling}')
        self._in_string = re.compile(rf'"|\\(?:.|\Z)|{sibling}', re.DOTALL)
        self._signs = self._structure
        self._open = {"{": 0, "[": 0, '"': 0}
        self._own = self._before = ""

    def find(self, text: str, start: int) -> tuple[int, bool]:
        """A `Finder` of where the value ends or is broken."""
        while match := self._signs.search(text, start):
            sign, start = match[0], match.end()
            if sign[0] in "\n\\":
                if start == len(text):
                    return match.start(), False
                if sign[0] == "\n":
                    return start, True
                continue
            self._own = self._own or sign
            opening = {"}": "{", "]": "["}.get(sign, sign)
            if sign == '"':
                self._signs = self._structure if self._signs is self._in_string else self._in_string
                self._open[sign] = int(self._signs is self._in_string)
            elif sign in "{[":
                if sign == "{" and not self._open["["] and self._before in (",", "}", "]"):
                    return match.start(), True
                self._open[sign] += 1
            elif sign in "}]":
                if sign == "]" and not self._open["["]:
                    return match.start(), True
                self._open[opening] = max(self._open[opening] - 1, 0)
            self.closed = opening == self._own and not self._open[opening]
            if self.closed:
                return start, True
            self._before = sign
        return len(text), False


class _Text(str):
    """A text of which an error costs little: to say on which line it is, it counts all lines before it."""

    count = rfind = lambda *_: 0


class Values:
    """Of the `text`, what is read and not consumed begins at `at`; bytes that are no UTF-8 are surrogates in it.

    `unfinished` tells whether the last value went on to the end of the file.
    """

    def __init__(self, blocks: streams.Blocks, max_bytes: int) -> None:
        self._blocks = blocks
        self._max_bytes = max_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        self.text = _Text()
        self.at = 0
        self.unfinished = False
        self._column = 0
        self._ended = False
        # The last character that is forgotten.
        self._behind = ""
        self._patience = _PATIENCE

    def peek(self) -> str:
        """The next character that is no white space, or "" at the end; it stays unconsumed.

        The column is how far it is indented; 0 where it does not begin a line, unless it is the first of an array: then
        its siblings may stand below it.
        """
        before = self.text[self.at - 1] if self.at else self._behind
        # Nothing is before the first value of all, which begins its line.
        has_siblings = before in ("", "[")
        column = int(before == "[")
        while True:
            begun, self.at = self.at, json_text.after_space(self.text, self.at)
            _, newline, indentation = self.text[begun : self.at].rpartition("\n")
            column = len(indentation) if newline else column + len(indentation)
            has_siblings = has_siblings or bool(newline)
            if self.at < len(self.text) or not self._fill(1):
                self._column = min(column, _DEEPEST) if has_siblings else 0
                return self.text[self.at : self.at + 1]

    def decoded(self) -> tuple[Any, int] | None:
        """The array or object at the cursor and its end; None if it is too large, or no strict JSON.

        It may also be None for no reason, where too much was decoded in vain.
        """
        while self._patience >= 0:
            try:
                value, end = STRICT.raw_decode(self.text, self.at)
                return (value, end) if end - self.at <= self._max_bytes else None
            except (ValueError, RecursionError) as error:
                if not self._fill(self._max_bytes + 1):
                    self._lose_patience(error)
                    break
        return None

    def before_list(self, wanted: str) -> tuple[list[str], str] | None:
        """Of the object at the cursor, which is not `decoded`: the names before the list `wanted`, and how that begins.

        None where a record's size does not show such a list.
        """
        self._fill(self._max_bytes + 1)
        names: list[str] = []
        at = self.at + 1
        try:
            while self._patience >= 0 and (member := _MEMBER.match(self.text, at, self.at + self._max_bytes)):
                at = member.end()
                if member[1] == wanted and self.text.startswith("[", at):
                    at = json_text.after_space(self.text, at + 1)
                    return names, self.text[at : at + 1]
                names.append(member[1])
                at = STRICT.raw_decode(self.text, at)[1]
        except (ValueError, RecursionError) as error:
            self._lose_patience(error)
        return None

    def value(self) -> records.Record:
        """The value at the cursor, to which `peek` has moved, or what stands in its place."""
        if self.text[self.at] not in '{["':
            return self.until(_SCALAR_END)
        if decoded := self.decoded():
            return self.whole(decoded[1])
        brackets = Brackets(self._column)
        found = self._up_to(brackets.find, self.at)
        if isinstance(found, records.Record) or brackets.closed:
            return self._judged(found)
        return self.unparseable(found.removesuffix(",").rstrip(SPACE))

    def until(self, pattern: re.Pattern[str]) -> records.Record:
        """The text up to the pattern, of one character at least, which is no JSON that could be a record."""
        return self._judged(self._up_to(lambda text, start: _first(pattern, text, start), self.at + 1))

    def whole(self, end: int) -> records.Record:
        """The strict JSON up to the index `end` of the text."""
        self.unfinished = False
        text = self._take(end)
        if len(text) <= self._max_bytes and text.isascii():
            return records.Record(text, length=len(text))
        return records.from_bytes(_bytes(text), self._max_bytes)

    def unparseable(self, text: str) -> records.Record:
        """A text that is no record."""
        return records.from_bytes(_bytes(text), self._max_bytes, "unparseable")

    def _judged(self, found: records.Record | str) -> records.Record:
        """Of a text SQL will judge, except for what DuckDB takes for JSON and the standard does not."""
        if isinstance(found, records.Record):
            return found
        problem: records.Problem | None = "unparseable" if json_text.is_lenient(found) else None
        return records.from_bytes(_bytes(found), self._max_bytes, problem)

    def _up_to(self, find: Finder, start: int) -> records.Record | str:
        """The text up to where it ends by `find`, which begins at `start`; the record of one that is too large to hold.

        White space before the end is left for `peek`, which tells by it where the next value stands.
        """
        ahead = start - self.at
        self._fill(self._max_bytes + 1)
        whole: records.Summary | None = None
        end, is_end = find(self.text, self.at + ahead)
        while not is_end and not self._ended:
            whole = whole or records.Summary()
            whole.add(_bytes(self._take(end)))
            self._fill(len(self.text) - self.at + 1)
            end, is_end = find(self.text, self.at)
        self.unfinished = not is_end
        found = self.text[self.at : end if is_end else None].rstrip(SPACE)
        self._take(self.at + len(found))
        if not whole:
            return found
        whole.add(_bytes(found))
        return whole.record()

    def _take(self, end: int) -> str:
        """Consume the text up to the index `end`."""
        taken = self.text[self.at : end]
        self._patience = min(self._patience + _PATIENCE_FACTOR * len(taken), _PATIENCE)
        self.at = end
        return taken

    def _lose_patience(self, error: Exception) -> None:
        """Note how much was decoded in vain, which is not known of what is nested too deeply."""
        read = getattr(error, "pos", self.at) - self.at if isinstance(error, ValueError) else self._max_bytes
        self._patience -= min(read, self._max_bytes) + 1

    def _fill(self, size: int) -> bool:
        """Have so many characters of what is not consumed, or all that are left; whether there are more than before."""
        held = length = len(self.text) - self.at
        if self._ended or held >= size:
            return False
        self._behind = self.text[self.at - 1] if self.at else self._behind
        pieces = [self.text[self.at :]]
        # More than is asked for, so that what is held is not copied for every block.
        while not self._ended and length < size + size // 4:
            data = self._blocks.read()
            self._ended = not data
            pieces.append(self._decoder.decode(data, final=self._ended))
            length += len(pieces[-1])
        self.text = _Text("".join(pieces))
        self.at = 0
        return length > held


def _first(pattern: re.Pattern[str], text: str, start: int) -> tuple[int, bool]:
    match = pattern.search(text, start)
    return (match.start(), True) if match else (len(text), False)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")
