"""`.json` files to records: an array, API pages, single objects, or one record a line.

Records are the exact slices of the file's text, so that what is kept is what came. Arrays are read through a
window; a file that breaks off keeps what came before the break.
"""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from orchestration.feeds import records
from orchestration.feeds.read_lines import broken_stream, is_strict_json, read_lines
from orchestration.feeds.streams import BrokenStreamError

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 1 << 20
_WHITESPACE = " \t\r\n"
_decoder = json.JSONDecoder()


class _BrokenError(Exception):
    """The text from here on is no JSON."""


class _Window:
    """A moving window over a text stream: `text[at:]` is what is not yet consumed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8-sig")(errors="surrogateescape")
        self.text = ""
        self.at = 0
        self.ended = False

    def more(self, size: int = _CHUNK) -> bool:
        """Read on; False at the end of the stream."""
        if self.ended:
            return False
        data = self._stream.read(size)
        self.ended = not data
        self.text = self.text[self.at :] + self._decode.decode(data, final=self.ended)
        self.at = 0
        return not self.ended

    def peek(self) -> str:
        """The next character that is no white space, or '' at the end; it stays unconsumed."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in _WHITESPACE:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def take(self, expected: str) -> None:
        """Consume the next character, which must be `expected`."""
        if self.peek() != expected:
            raise _BrokenError
        self.at += 1

    def value(self) -> tuple[Any, str]:
        """Consume one JSON value: it, and its exact text."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                value, end = _decoder.raw_decode(self.text, self.at)
            except (ValueError, RecursionError):
                if not self.more(size):
                    raise _BrokenError from None
                size *= 2
                continue
            if end == len(self.text) and not self.ended:
                # A number may go on in the next chunk.
                self.more()
                continue
            text = self.text[self.at : end]
            self.at = end
            return value, text

    def rest(self) -> str:
        """Everything that is not yet consumed."""
        while self.more():
            pass
        rest, self.at = self.text[self.at :], len(self.text)
        return rest


def read_json(stream: BinaryIO, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The records of a `.json` file, in batches."""
    buffered = io.BufferedReader(stream, _CHUNK)  # type: ignore[type-var]
    if _is_line_delimited(buffered):
        return read_lines(buffered, max_bytes)  # type: ignore[arg-type]
    return records.to_batches(_documents(buffered, max_bytes))  # type: ignore[arg-type]


def _is_line_delimited(buffered: io.BufferedReader) -> bool:
    """Whether the first line that is not blank is a record of its own, or no JSON document begins there."""
    head = buffered.peek(_CHUNK).decode("utf-8-sig", errors="replace").lstrip()
    if head.startswith("["):
        return False
    line, newline, _ = head.partition("\n")
    try:
        value = json.loads(line)
    except ValueError:
        # No whole value on the first line: a document that is spread over lines, or a broken record.
        return bool(newline) and line.strip() != "{" and not _opens_document(head)
    return not _is_page(value)


def _opens_document(head: str) -> bool:
    """Whether the text begins with an object that goes on over several lines."""
    if not head.startswith("{"):
        return False
    first_line = head.partition("\n")[0].rstrip()
    return first_line.endswith(("{", "[", ","))


def _is_page(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("values"), list)


def _documents(stream: BinaryIO, max_bytes: int) -> Iterator[records.Record]:
    window = _Window(stream)
    try:
        while opening := window.peek():
            if opening == "[":
                yield from _array(window, max_bytes)
            else:
                value, text = window.value()
                if _is_page(value):
                    yield from _page(text, max_bytes)
                else:
                    yield _record(text, max_bytes)
    except _BrokenError:
        yield _record(window.rest(), max_bytes, "unparseable")
    except BrokenStreamError as error:
        yield broken_stream(error)


def _array(window: _Window, max_bytes: int) -> Iterator[records.Record]:
    window.take("[")
    if window.peek() == "]":
        window.at += 1
        return
    while True:
        _, text = window.value()
        yield _record(text, max_bytes)
        if window.peek() == "]":
            window.at += 1
            return
        window.take(",")


def _page(text: str, max_bytes: int) -> Iterator[records.Record]:
    """The elements of the page's `values`, each as its exact text."""
    window = _Window(io.BytesIO(text.encode("utf-8", errors="surrogateescape")))
    window.take("{")
    while True:
        key, _ = window.value()
        window.take(":")
        if key == "values" and window.peek() == "[":
            yield from _array(window, max_bytes)
        else:
            window.value()
        if window.peek() == "}":
            return
        window.take(",")


def _record(text: str, max_bytes: int, problem: records.Problem | None = None) -> records.Record:
    content = text.encode("utf-8", errors="surrogateescape")
    if problem is None and not is_strict_json(text):
        problem = "unparseable"
    return records.from_bytes(content, max_bytes, problem)
