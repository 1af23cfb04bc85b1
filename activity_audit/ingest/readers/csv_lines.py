"""The lines of a CSV file, with a cursor and a mark, from which a row that does not parse is read again."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from activity_audit.ingest.readers.line_blobs import split
from activity_audit.raw.records import Record


class LineBlock:
    """Some whole lines: as one blob, as an Arrow array with their ends, and as a list."""

    def __init__(self, blob: bytes, end: bytes) -> None:
        self.blob = blob
        self._end = end
        self.contents, self._ends = split(blob, end)
        self.count = len(self.contents)

    @cached_property
    def lines(self) -> list[bytes]:
        """The lines without the end by which they are split; only the rows that are not plain need them."""
        return self.blob.split(self._end)

    def between(self, first: int, last: int) -> bytes:
        """The lines from number `first` up to but without `last`, which is not the same, as a blob."""
        start = int(self._ends[first - 1]) + 1 if first else 0
        return self.blob[start : int(self._ends[last - 1])]


class Lines:
    """The lines from the current row's first one, `mark`, to the end of what is loaded; `at` is the next one.

    A record among the items (a line too large to be held, the end of a broken stream) stops the lines until it
    is taken with `passed`.
    """

    def __init__(self, items: Iterator[bytes | Record], end: bytes) -> None:
        self._items = items
        self._obstacle: Record | None = None
        self.end = end
        self.block: LineBlock | None = None
        self.mark = 0
        self.at = 0

    def more(self) -> bool:
        """Whether there is a line at the cursor, loaded now if need be."""
        block = self.block
        if block and self.at < block.count:
            return True
        if self._obstacle:
            return False
        item = next(self._items, None)
        if item is None or isinstance(item, Record):
            self._obstacle = item
            return False
        if block and self.mark < block.count:
            item = block.between(self.mark, block.count) + self.end + item
        self.block = LineBlock(item, self.end)
        self.at -= self.mark
        self.mark = 0
        return True

    def passed(self) -> Record | None:
        """The record that stands where the lines stopped; None at the end of the file."""
        obstacle, self._obstacle = self._obstacle, None
        return obstacle

    def begin_row(self) -> None:
        """The row begins at the cursor; what is before it will not be read again."""
        self.mark = self.at

    def next(self) -> bytes:
        """The line at the cursor, which `more` has said is there; the cursor moves on."""
        line = self._loaded().lines[self.at]
        self.at += 1
        return line

    def row(self) -> bytes:
        """The bytes from the mark to the cursor, without the last line's end."""
        return self.end.join(self._loaded().lines[self.mark : self.at]).removesuffix(b"\r")

    def rest_of_row(self) -> list[bytes]:
        """The lines of the row after its first."""
        return self._loaded().lines[self.mark + 1 : self.at]

    def give_up_row(self) -> int:
        """Put the cursor behind the row's first line; how many bytes will be read again."""
        again = sum(map(len, self.rest_of_row()))
        self.at = self.mark + 1
        return again

    def _loaded(self) -> Any:
        return self.block
