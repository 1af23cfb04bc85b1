"""The lines of a CSV file, with a cursor and a mark: a row that does not parse is read again from its mark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.feeds.line_blobs import split
from orchestration.feeds.records import Record


class Lines:
    """The lines from the current row's first one, `mark`, to the end of what is loaded; `at` is the next one.

    A record among the items (a line too large to be held, the end of a broken stream) stops the lines until it
    is taken with `passed`.
    """

    def __init__(self, items: Iterator[bytes | Record], end: bytes) -> None:
        self._items = items
        self._obstacle: Record | None = None
        self._ends: Any = None
        self._split: list[bytes] = []
        self.end = end
        self.blob = b""
        self.mark = 0
        self.at = 0
        self.count = 0
        # Grows with every load, for those who keep something about the lines.
        self.version = 0

    def more(self) -> bool:
        """Whether there is a line at the cursor, loaded now if need be."""
        if self.at < self.count:
            return True
        if self._obstacle:
            return False
        item = next(self._items, None)
        if item is None or isinstance(item, Record):
            self._obstacle = item
            return False
        kept = [*self._split[self.mark :], item] if self.mark < self.count else [item]
        self.blob = self.end.join(kept)
        self._split = self.blob.split(self.end)
        self._ends = None
        self.count = len(self._split)
        self.at -= self.mark
        self.mark = 0
        self.version += 1
        return True

    def passed(self) -> Record | None:
        """The record that stands where the lines stopped; None at the end of the file."""
        obstacle, self._obstacle = self._obstacle, None
        return obstacle

    def begin_row(self) -> None:
        """The row begins at the cursor; what is before it will not be read again."""
        self.mark = self.at

    def next(self) -> bytes:
        """The line at the cursor, without the end by which lines are split; the cursor moves on."""
        self.at += 1
        return self._split[self.at - 1]

    def row(self) -> bytes:
        """The bytes from the mark to the cursor, without the last line's end."""
        return self.end.join(self._split[self.mark : self.at]).removesuffix(b"\r")

    def rest_of_row(self) -> list[bytes]:
        """The lines of the row after its first."""
        return self._split[self.mark + 1 : self.at]

    def give_up_row(self) -> int:
        """Put the cursor behind the row's first line; how many bytes will be read again."""
        again = sum(map(len, self.rest_of_row()))
        self.at = self.mark + 1
        return again

    def take(self, count: int) -> bytes:
        """The next lines as a blob; the cursor moves behind them."""
        if self._ends is None:
            _, self._ends = split(self.blob, self.end)
        start = int(self._ends[self.at - 1]) + 1 if self.at else 0
        self.at += count
        return self.blob[start : int(self._ends[self.at - 1])]
