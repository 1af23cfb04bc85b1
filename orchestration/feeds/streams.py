"""Byte streams of deliveries: decompression, with a broken file told apart from a failing disk or network."""

from __future__ import annotations

import io
from typing import BinaryIO

from orchestration.feeds.formats import Compression

_CODECS = {"gz": "gzip", "zst": "zstd"}
# Small, because what a read has got when the stream breaks is lost with it.
_STEP = 16 * 1024


class BrokenStreamError(Exception):
    """The compressed stream is truncated or corrupt; what was read before it is good."""


class _Decompressed(io.RawIOBase):
    """The decompressed bytes of a gzip or zstd stream, of one member or several.

    Arrow's codecs are used because they report a truncated zstd stream, which other readers end quietly.
    """

    def __init__(self, stream: BinaryIO, compression: Compression) -> None:
        import pyarrow as pa

        self._source = stream
        self._broken: BrokenStreamError | None = None
        self._inner = pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), _CODECS[compression])

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._broken:
            raise self._broken
        try:
            data = self._inner.read(min(len(buffer), _STEP))
        except OSError as error:
            if error.errno is None:
                self._broken = BrokenStreamError(str(error))
                raise self._broken from None
            raise
        buffer[: len(data)] = data
        return len(data)


def decompressed(stream: BinaryIO, compression: Compression | None) -> BinaryIO:
    """The stream's content; reading it raises BrokenStreamError where the compression breaks off."""
    if compression is None:
        return stream
    return io.BufferedReader(_Decompressed(stream, compression), 1 << 20)  # type: ignore[return-value]
