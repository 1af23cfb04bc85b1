"""A delivery's bytes as blobs of whole lines, cheaply, however long a line is.

What a line means is not known here; read_lines and read_csv decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from activity_audit.ingest.readers.streams import Blocks
from activity_audit.raw import records


def line_end(blocks: Blocks) -> bytes:
    """What ends a line: a line feed, or a carriage return in a file whose beginning has only those.

    A carriage return before a line feed belongs to the line here.
    """
    head = blocks.peek()
    return b"\r" if b"\n" not in head and b"\r" in head else b"\n"


def line_blobs(
    blocks: Blocks, max_bytes: int, end: bytes, stops_at: Callable[[bytes], bool] = lambda _: False
) -> Iterator[bytes | records.Record]:
    """Blobs of whole lines (the last one's end cut off), and single records for lines too large to be held.

    Such a line is left unread, with all that follows, if `stops_at` says so of its beginning. A stream that breaks off
    ends with a record that says so, after all that could be read.
    """
    rest = b""
    while data := blocks.read():
        rest += data
        cut = rest.rfind(end)
        if cut >= 0:
            yield rest[:cut]
            rest = rest[cut + 1 :]
        # One byte more, because it may be the carriage return of a line end that is still to come.
        if len(rest) > max_bytes + 1:
            if stops_at(rest):
                blocks.unread(rest)
                return
            record, rest = _skip_long_line(blocks, rest, end)
            if record:
                yield record
    if rest:
        yield rest.removesuffix(end)
    if blocks.broken:
        yield records.broken_off(blocks.broken)


def split(blob: bytes, end: bytes) -> tuple[Any, Any]:
    """The lines of a blob as a binary Arrow array, and where each line ends in the blob (a numpy array)."""
    ends = np.flatnonzero(np.frombuffer(blob, np.uint8) == end[0])
    ends = np.append(ends, len(blob))
    count = len(ends)
    offsets = np.zeros(count + 1, np.int32)
    offsets[1:] = ends - np.arange(count)
    data = pa.py_buffer(blob.replace(end, b""))
    return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), data]), ends


def _skip_long_line(blocks: Blocks, begun: bytes, end: bytes) -> tuple[records.Record | None, bytes]:
    """Read on to the end of a line that is too large, keeping its head and hash; also what follows it.

    The record is None for a line of white space.
    """
    whole = records.Summary()
    blank = True
    piece, rest, held = begun, b"", b""
    while piece:
        cut = piece.find(end)
        if cut >= 0:
            piece, rest = piece[:cut], piece[cut + 1 :]
        piece = held + piece
        # Held back, because it is no part of the line if the line ends here.
        held = b"\r" if piece.endswith(b"\r") else b""
        piece = piece.removesuffix(b"\r")
        whole.add(piece)
        blank = blank and (not piece or piece.isspace())
        if cut >= 0:
            break
        piece = blocks.read()
    return None if blank else whole.record(), rest
