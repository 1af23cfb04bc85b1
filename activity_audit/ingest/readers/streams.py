"""Byte streams of deliveries: decompression, and reading in blocks.

A broken file is told apart from a failing disk or network: the first ends early and says why, the second is
an OSError. What was read before the break is never lost.
"""

from __future__ import annotations

import codecs
import itertools
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from activity_audit.base.delivery_limits import DEFAULT, Expansion, Limits
from activity_audit.ingest.readers.formats import Compression

BLOCK = 1 << 20
_BOM = b"\xef\xbb\xbf"
# The marks by which other encodings are known, and Python's names of these; the longer marks first.
_OTHER_MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_LONGEST_MARK = 4
# A shorter text does not tell its encoding; the share of zeros that does.
_FEW_CHARACTERS = 8
_MANY_ZEROS = 0.7
# Compressed bytes for each call: a call's whole output is held in memory, and zstd may make 32 KiB of one byte.
_STEPS: dict[Compression, int] = {"gz": 16 * 1024, "zst": 1024}
# So much of what follows a member is looked at for padding.
_PADDING = 4096
# No zstd stream looks further back.
_WIDEST_WINDOW = 1 << 31
_MAGIC: dict[Compression, tuple[bytes, ...]] = {
    "gz": (b"\x1f\x8b",),
    "zst": (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + n]) + b"\x2a\x4d\x18" for n in range(16))),
}


class BrokenStreamError(Exception):
    """The stream is truncated or corrupt; what was read before it is good."""


class Blocks:
    """A delivery's bytes, decompressed, in blocks of `size`, without a byte order mark; a text that has the mark of
    UTF-16 or UTF-32 is turned into UTF-8.

    `expansion` counts what comes out of the compression, and bounds it. When `read` has returned b"", `broken` says why
    the stream ended early, or is None where it is whole.
    """

    def __init__(
        self,
        stream: BinaryIO,
        compression: Compression | None = None,
        expansion: Expansion | None = None,
        *,
        size: int | None = None,
        strip_mark: bool = True,
    ) -> None:
        self._pieces = _decompressed(stream, compression, expansion) if compression else _plain(stream)
        self._expansion = expansion if compression else None
        self._size = size or BLOCK
        self._first = strip_mark
        # What is read ahead begins at `_at`.
        self._ready = b""
        self._at = 0
        self.broken: str | None = None

    def read(self) -> bytes:
        """The next block; only the last one is shorter than the others."""
        block = self.peek(self._size)
        self._at += len(block)
        return block

    def peek(self, size: int = BLOCK) -> bytes:
        """The next `size` bytes, or all that are left; they stay unread."""
        if self._first:
            self._first = False
            self._read_ahead(_LONGEST_MARK)
            if self._ready.startswith(_BOM):
                self._at = len(_BOM)
            elif encoding := next((name for mark, name in _OTHER_MARKS if self._ready.startswith(mark)), None):
                self._pieces = _as_utf8(self._ready, self._pieces, encoding)
                self._ready = b""
        self._read_ahead(size)
        return self._ready[self._at : self._at + size]

    def unread(self, data: bytes) -> None:
        """Put back what was read last."""
        self._ready = data + self._ready[self._at :]
        self._at = 0

    def _read_ahead(self, size: int) -> None:
        """Have `size` bytes ready, or all that are left; what is one piece of the stream is not copied."""
        length = len(self._ready) - self._at
        pieces = []
        try:
            while length < size and (piece := next(self._pieces, b"")):
                pieces.append(piece)
                length += len(piece)
                if self._expansion:
                    self._expansion.add(len(piece))
        except BrokenStreamError as error:
            self.broken = str(error)
        if pieces:
            rest = self._ready[self._at :]
            self._ready = b"".join([rest, *pieces] if rest else pieces)
            self._at = 0


def encoding_without_mark(head: bytes) -> str | None:
    """The encoding that a text without a byte order mark seems to have, if its beginning does not look like UTF-8.

    Of the usual characters UTF-16 has a zero in every other byte, and UTF-8 never.
    """
    even, odd = head[0::2], head[1::2]
    if len(odd) < _FEW_CHARACTERS:
        return None
    zeros = even.count(0) / len(even), odd.count(0) / len(odd)
    return "UTF-16" if max(zeros) > _MANY_ZEROS and min(zeros) < 1 - _MANY_ZEROS else None


def _as_utf8(head: bytes, pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    """A text in another encoding as UTF-8. Half a surrogate pair becomes bytes that are not UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="surrogatepass")
    try:
        for piece in itertools.chain([head], pieces):
            if text := decoder.decode(piece):
                yield text.encode("utf-8", errors="surrogatepass")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise BrokenStreamError(f"it is not {encoding.upper()}: {error.reason}") from None


def is_compressed(head: bytes, compression: Compression) -> bool:
    """Whether a file that begins with these bytes (four, or all that it has) is of this compression."""
    return any(head.startswith(magic) or magic.startswith(head) for magic in _MAGIC[compression])


def _plain(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(BLOCK):
        yield piece


def _decompressed(stream: BinaryIO, compression: Compression, expansion: Expansion | None) -> Iterator[bytes]:
    """The content of a gzip or zstd stream, of one member or several."""
    limits = expansion.limits if expansion else DEFAULT
    start = 0
    while True:
        stream.seek(start)
        # Zeros after a member are padding, as gzip itself has it; there may be gigabytes of them.
        while (head := stream.read(_PADDING)) and compression == "gz" and start and not head.strip(b"\0"):
            start += len(head)
        if not head:
            return
        if compression == "gz" and start:
            start += len(head) - len(head.lstrip(b"\0"))
        used = yield from _member(stream, compression, start, limits)
        start += used


def _member(stream: BinaryIO, compression: Compression, start: int, limits: Limits) -> Any:
    """The content of the member that begins at `start`; returns the length of the member."""
    step = _STEPS[compression]
    decoder = _decoder(compression, limits)
    stream.seek(start)
    taken = 0
    while not decoder.eof:
        data = stream.read(step)
        if not data:
            raise BrokenStreamError("the compressed data is truncated")
        try:
            piece = decoder.decompress(data)
        except _error(compression) as error:
            _raise_if_real(error, limits)
            yield from _up_to_the_break(stream, compression, start, taken, data, limits)
            raise BrokenStreamError(str(error)) from None
        taken += len(data)
        if piece:
            yield piece
    return taken - len(decoder.unused_data)


def _up_to_the_break(
    stream: BinaryIO, compression: Compression, start: int, taken: int, data: bytes, limits: Limits
) -> Iterator[bytes]:
    """What can be had of the step in which decoding failed, whose output was lost with the failure."""
    decoder = _decoder(compression, limits)
    stream.seek(start)
    while taken > 0:
        good = stream.read(min(taken, _STEPS[compression]))
        decoder.decompress(good)
        taken -= len(good)
    for index in range(len(data)):
        try:
            piece = decoder.decompress(data[index : index + 1])
        except _error(compression) as error:
            _raise_if_real(error, limits)
            return
        if piece:
            yield piece


def _raise_if_real(error: Exception, limits: Limits) -> None:
    """Raise what is not the file's fault: that there is no memory, or that more would be needed than is allowed."""
    words = str(error).lower()
    if "too much memory" in words:
        raise limits.too_much_memory("the window of its zstd compression") from error
    if "memory" in words:
        raise MemoryError(str(error)) from error


def _decoder(compression: Compression, limits: Limits) -> Any:
    if compression == "gz":
        return zlib.decompressobj(wbits=31)
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=min(limits.delivery_memory, _WIDEST_WINDOW)).decompressobj()


def _error(compression: Compression) -> type[Exception]:
    if compression == "gz":
        return zlib.error
    import zstandard

    return zstandard.ZstdError


@contextmanager
def decompressed_copy(blocks: Blocks, folder: Path) -> Iterator[BinaryIO]:
    """A temporary file in `folder` with the stream's content, as far as it can be read."""
    with tempfile.TemporaryFile(dir=folder) as copy:
        while block := blocks.read():
            copy.write(block)
        copy.seek(0)
        yield copy
