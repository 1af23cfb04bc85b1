"""Line-delimited JSON to record batches: every line that is not blank is one record, whatever is on it.

A whole block of lines becomes one Arrow array, so that the good case costs no Python per line; only a block
with an undecodable, oversized or doubtful line is looked at line by line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

from orchestration.feeds import records
from orchestration.feeds.streams import BrokenStreamError

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 8 << 20
_PIECE = 1 << 20
_BOM = b"\xef\xbb\xbf"
# DuckDB's JSON parser tolerates trailing commas and NaN; a line that matches is judged by a strict parser.
_DOUBTFUL = r",\s*[}\]]|NaN|Infinity"
_doubtful = re.compile(_DOUBTFUL)


def read_lines(stream: BinaryIO, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The records of a line-delimited stream, in batches of some megabytes.

    A stream that breaks off (a truncated gzip file, for instance) ends with one unparseable record that says
    so, after all that could be read.
    """
    position = 1
    for block in _blocks(stream, max_bytes):
        if isinstance(block, records.Record):
            batches: Iterator[pa.RecordBatch] = records.to_batches(iter([block]), position)
        else:
            batches = _batch(block, position, max_bytes)
        for batch in batches:
            position += batch.num_rows
            if batch.num_rows:
                yield batch


def _blocks(stream: BinaryIO, max_bytes: int) -> Iterator[list[bytes] | records.Record]:
    """Lists of whole lines, and single records where a line is too large to be held or the stream broke."""
    rest = b""
    first = True
    try:
        while data := read_block(stream):
            if first:
                data = data.removeprefix(_BOM)
                first = False
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            if lines:
                yield lines
            if len(rest) > max_bytes:
                head, rest = rest, b""
                record, rest = _skip_long_line(stream, head)
                yield record
    except BrokenStreamError as error:
        yield [rest]
        yield broken_stream(error)
    else:
        yield [rest]


def read_block(stream: BinaryIO) -> bytes:
    """Some megabytes of the stream, or less where it ends or breaks off soon."""
    pieces: list[bytes] = []
    size = 0
    try:
        while size < _BLOCK and (piece := stream.read1(_PIECE)):  # type: ignore[attr-defined]
            pieces.append(piece)
            size += len(piece)
    except BrokenStreamError:
        if not pieces:
            raise
    return b"".join(pieces)


def _skip_long_line(stream: BinaryIO, head: bytes) -> tuple[records.Record, bytes]:
    """Read on to the end of a line that is too large, keeping its head and hash; also what follows it."""
    digest = hashlib.sha256()
    length = 0
    piece, rest = head, b""
    while piece:
        line_end = piece.find(b"\n")
        if line_end >= 0:
            piece, rest = piece[:line_end], piece[line_end + 1 :]
        digest.update(piece)
        length += len(piece)
        if line_end >= 0:
            break
        piece = read_block(stream)
    return records.too_large(head[: records.KEPT_BYTES], length, digest.hexdigest()), rest


def broken_stream(error: Exception) -> records.Record:
    """The record that stands for the unreadable rest of a stream."""
    return records.Record(f"the file breaks off here and its rest cannot be read: {error}", "unparseable")


def _batch(lines: list[bytes], position: int, max_bytes: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    blank = [not line or line.isspace() for line in lines]
    if any(blank):
        lines = [line for line, empty in zip(lines, blank, strict=True) if not empty]
    if not lines:
        return
    if lines[0].endswith(b"\r"):
        lines = [line.removesuffix(b"\r") for line in lines]
    raw = pa.array(lines, pa.binary())
    lengths = pc.binary_length(raw).cast(pa.int64())
    try:
        text = raw.cast(pa.string())
    except pa.ArrowInvalid:
        text = None
    if text is None or pc.max(lengths).as_py() > max_bytes:
        yield from records.to_batches((_one_line(line, max_bytes) for line in lines), position)
        return
    count = len(lines)
    yield pa.record_batch(
        [
            pa.array(range(position, position + count), pa.int64()),
            text,
            _doubtful_problems(text),
            pa.nulls(count, pa.binary()),
            lengths,
            pa.nulls(count, pa.string()),
        ],
        schema=records.schema(),
    )


def _one_line(line: bytes, max_bytes: int) -> records.Record:
    record = records.from_bytes(line, max_bytes)
    if record.problem is None and _doubtful.search(record.text) and not is_strict_json(record.text):
        return replace(record, problem="unparseable")
    return record


def _doubtful_problems(text: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    doubtful = pc.match_substring_regex(text, _DOUBTFUL)
    if not pc.any(doubtful).as_py():
        return pa.nulls(len(text), pa.string())
    problems: list[str | None] = [None] * len(text)
    for index in pc.indices_nonzero(doubtful).to_pylist():
        if not is_strict_json(text[index].as_py()):
            problems[index] = "unparseable"
    return pa.array(problems, pa.string())


def is_strict_json(text: str) -> bool:
    """Whether the text is JSON by its standard, which has neither trailing commas nor NaN."""
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
