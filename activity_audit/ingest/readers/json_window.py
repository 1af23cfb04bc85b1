"""A moving window over the text of a JSON delivery, and the search for where a value in it ends.

Text is decoded so that it can be encoded back to the same bytes (surrogateescape), whatever they are.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any

from activity_audit.ingest.readers.streams import Blocks

SPACE = " \t\r\n"
SPACES = re.compile(f"[{SPACE}]*")
_STRUCTURE = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\\n\r]')
# After these, an object needs a name before its next value.
_VALUE_ENDS = (",", "}", "]")
_MOST_FAILURES = 10
_OPENING = {"}": "{", "]": "["}


class Window:
    """`text[at:]` is what is not yet consumed, as far as it is read.

    `column` is how far the value that `peek` stood before last is indented; 0 for one that does not begin a line,
    unless it is the first of an array: then its siblings may stand below it.
    """

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        self.text = ""
        self.at = 0
        self.column = 0
        self.ended = False
        # The last character that is forgotten.
        self._behind = ""
        self._failures = 0
        self._not_tried = 0

    def more(self) -> bool:
        """Read on, forgetting what is consumed; False if there is nothing more."""
        if self.ended:
            return False
        data = self._blocks.read()
        self.ended = not data
        self._behind = self.text[self.at - 1] if self.at else self._behind
        text = self._decode.decode(data, final=self.ended)
        self.text = self.text[self.at :] + text
        self.at = 0
        return bool(text) or not self.ended

    @property
    def is_broken_off(self) -> bool:
        """Whether the delivery ended because its compression is broken; known at its end."""
        return self._blocks.broken is not None

    def peek(self) -> str:
        """The next character that is no white space, or "" at the end; it stays unconsumed."""
        before = self.text[self.at - 1] if self.at else self._behind
        # Nothing is before the first value of all, which begins its line.
        begins_line = not before
        self.column = first = int(before == "[")
        while True:
            match = SPACES.match(self.text, self.at)
            assert match is not None
            _, newline, indentation = match[0].rpartition("\n")
            self.column = len(indentation) if newline else self.column + len(indentation)
            begins_line = begins_line or bool(newline)
            self.at = match.end()
            if self.at < len(self.text) or not self.more():
                self.column = self.column if begins_line or first else 0
                return self.text[self.at : self.at + 1]

    def take(self, end: int) -> str:
        """Consume the text up to the index `end`."""
        taken = self.text[self.at : end]
        self.at = end
        return taken

    def decode(self) -> tuple[Any, int] | None:
        """The array or object that is whole in the window, and its end; None if it is not, or is no strict JSON.

        It may also be None for no reason: a failure is dear, because Python counts the lines up to it, so that
        after several of them not every value is tried.
        """
        if self._not_tried:
            self._not_tried -= 1
            return None
        try:
            decoded = STRICT.raw_decode(self.text, self.at)
        except (ValueError, RecursionError):
            self._failures = min(self._failures + 1, _MOST_FAILURES)
            self._not_tried = 2**self._failures - 2
            return None
        self._failures = 0
        return decoded


class Scanner:
    """Finds where a value that begins with `{`, `[` or `"` ends, by its brackets and quotes alone.

    It can be fed the value's text piece by piece. It is `broken` where the value cannot go on: an object in
    an object without a name, which is a value after one that lacks its `}`, or a `]` that only an array
    around the value can own. It is `doubtful` once a line has ended in a string, which JSON does not allow: the
    string may have been meant to end before.
    """

    def __init__(self) -> None:
        self.in_string = False
        self.broken = False
        self.doubtful = False
        self._open: list[str] = []
        self._count = {"{": 0, "[": 0}
        self._skip = 0
        # The last character fed that is no white space.
        self._last = ""

    @property
    def depth(self) -> int:
        """How many brackets are open."""
        return len(self._open)

    def feed(self, text: str, start: int, stop: int | None = None) -> int | None:
        """Go on at `start` up to `stop`: the end of the value, or where it is broken; None if there is neither."""
        stop = len(text) if stop is None else stop
        position = start + self._skip
        self._skip = 0
        while True:
            match = (_IN_STRING if self.in_string else _STRUCTURE).search(text, position, stop)
            if match is None:
                self._skip = max(position - stop, 0)
                self._last = self._before(text, stop, start)
                return None
            position = match.end()
            character = match[0]
            if character == "\\":
                position += 1
            elif character in "\r\n":
                self.doubtful = True
            elif character == '"':
                self.in_string = not self.in_string
                if not self.in_string and not self._open:
                    return position
            elif character in "{[":
                if self._open and self._open[-1] == "{" and self._before(text, match.start(), start) in _VALUE_ENDS:
                    self.broken = True
                    return match.start()
                self._open.append(character)
                self._count[character] += 1
            else:
                if not self._close(_OPENING[character]):
                    self.broken = True
                    return match.start()
                if not self._open:
                    return position

    def _close(self, opening: str) -> bool:
        """Close the innermost such bracket, and what was left open in it; False for a `]` without a `[`.

        A `}` without a `{` is passed over.
        """
        if not self._count[opening]:
            return opening == "{"
        while True:
            closed = self._open.pop()
            self._count[closed] -= 1
            if closed == opening:
                return True

    def _before(self, text: str, position: int, start: int) -> str:
        """The last character before the index `position` that is no white space, in this piece or an earlier one."""
        while position > start:
            position -= 1
            if text[position] not in SPACE:
                return text[position]
        return self._last


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


STRICT = json.JSONDecoder(parse_constant=_refuse)
