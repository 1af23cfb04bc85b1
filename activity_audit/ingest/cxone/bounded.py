"""Answers of a server, bounded as they come and as they are decompressed: none fills the memory or goes on for ever."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator

import httpx

from activity_audit.base.delivery_limits import Limits

# In memory an answer is there as bytes, as text and as records.
_FACTOR = 8
_PIECE = 1 << 20
# An answer that trickles in may take so many times as long as the server may be silent.
_PATIENCE = 20


def client(timeout: float, limits: Limits) -> httpx.Client:
    """A client for which a server may be silent for `timeout` seconds; its answers are of a size that `limits` allow.

    Reading one raises what `_Bounded` does. gzip is the only compression that it knows.
    """

    def bound(response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.SyncByteStream)
        # Decompressed here, so that it is bounded, too.
        encoding = response.headers.pop("Content-Encoding", "").strip().lower()
        response.stream = _Bounded(response.stream, encoding, limits, time.monotonic() + timeout * _PATIENCE)

    return httpx.Client(
        timeout=timeout,
        follow_redirects=False,
        headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "activity-audit"},
        event_hooks={"response": [bound]},
    )


class _Bounded(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, encoding: str, limits: Limits, deadline: float) -> None:
        self._stream = stream
        self._encoding = encoding
        self._limits = limits
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        """The content in pieces.

        Raises:
            DeliveryError: if it is too large.
            httpx.RequestError: if it takes too long, or is compressed in another way or wrongly.
        """
        size = 0
        for piece in self._decoded():
            size += len(piece)
            if _FACTOR * size > self._limits.delivery_memory:
                raise self._limits.too_much_memory("an answer of the API (see CXONE_PAGE_SIZE)", _FACTOR * size)
            yield piece

    def close(self) -> None:
        self._stream.close()

    def _decoded(self) -> Iterable[bytes]:
        if self._encoding in ("", "identity"):
            return self._in_time()
        if self._encoding in ("gzip", "x-gzip"):
            return _gunzipped(self._in_time())
        raise httpx.DecodingError(f"its answer is compressed as {self._encoding!r}, which was not asked for")

    def _in_time(self) -> Iterator[bytes]:
        for piece in self._stream:
            if time.monotonic() > self._deadline:
                raise httpx.ReadTimeout("its answer takes too long")
            yield piece


def _gunzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if decoder.eof:
                    decoder = zlib.decompressobj(wbits=31)
                yield decoder.decompress(rest, _PIECE)
                rest = decoder.unconsumed_tail or decoder.unused_data
    except zlib.error as error:
        raise httpx.DecodingError(f"its answer is compressed wrongly: {error}") from None
