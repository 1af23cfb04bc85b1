"""One received record as the raw lake keeps it, and batches of them.

Every reader yields batches in file order; a record's position counts records, from 1, not lines, and is given
where the batches are written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import pyarrow as pa

Problem = Literal["unparseable", "too_large"]
KEPT_BYTES = 64 * 1024
_BATCH_RECORDS = 10_000
_BATCH_CHARACTERS = 16 << 20


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it came.

    `text` is the record, or of one that is too large its first 64 KiB. `content` holds the original bytes
    where they are no UTF-8 (the text then shows them as `\\xNN`). `length` is in bytes; `sha256` is set where
    the text is not the whole record.
    """

    text: str
    problem: Problem | None = None
    content: bytes | None = None
    length: int | None = None
    sha256: str | None = None


class Summary:
    """What is kept of a record that is too large to be held, while it is read piece by piece."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._digest = hashlib.sha256()
        self._length = 0

    def add(self, piece: bytes) -> None:
        """Take the record's next bytes."""
        self._head += piece[: KEPT_BYTES - len(self._head)]
        self._digest.update(piece)
        self._length += len(piece)

    def record(self) -> Record:
        """The record of all that was added."""
        return too_large(bytes(self._head), self._length, self._digest.hexdigest())


def from_bytes(content: bytes, max_bytes: int, problem: Problem | None = None) -> Record:
    """The record that these bytes are; undecodable or oversized ones become problems, never errors."""
    if len(content) > max_bytes:
        return too_large(content, len(content), hashlib.sha256(content).hexdigest())
    try:
        return Record(content.decode("utf-8"), problem, length=len(content))
    except UnicodeDecodeError:
        text = content.decode("utf-8", errors="backslashreplace")
        return Record(text, "unparseable", content=content, length=len(content))


def explained(record: Record, content: bytes, reason: str) -> Record:
    """An unparseable record of these bytes with the reason before its text; one that is too large has its own."""
    if record.problem == "too_large":
        return record
    return replace(record, text=reason + record.text, content=content)


def too_large(head: bytes, length: int, sha256: str) -> Record:
    """What is kept of a record over the size limit: its head, its length and its hash."""
    head = head[:KEPT_BYTES]
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A last character that the cut has halved is left out; anything else is shown.
        kept = head[: error.start] if error.reason == "unexpected end of data" and length > len(head) else head
        text = kept.decode("utf-8", errors="backslashreplace")
    return Record(text, "too_large", length=length, sha256=sha256)


def broken_off(reason: str) -> Record:
    """The record that stands for the part of a delivery that cannot be read."""
    return Record(f"the file breaks off here and its rest cannot be read: {reason}", "unparseable")


def schema() -> pa.Schema:
    """The Arrow schema of what readers yield: the raw lake's without the position."""
    return pa.schema(
        [
            ("record", pa.string()),
            ("problem", pa.string()),
            ("record_bytes", pa.binary()),
            ("record_length", pa.int64()),
            ("record_sha256", pa.string()),
        ]
    )


def to_batches(items: Iterable[Record | pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Records as Arrow batches, none of them large; what is a batch already stays one, in its place."""
    waiting: list[Record] = []
    size = 0
    for item in items:
        if not isinstance(item, Record):
            if waiting:
                yield _batch(waiting)
                waiting, size = [], 0
            yield item
            continue
        waiting.append(item)
        size += len(item.text)
        if len(waiting) >= _BATCH_RECORDS or size >= _BATCH_CHARACTERS:
            yield _batch(waiting)
            waiting, size = [], 0
    if waiting:
        yield _batch(waiting)


def _batch(chunk: list[Record]) -> pa.RecordBatch:
    return pa.record_batch(
        [
            pa.array([r.text for r in chunk], pa.string()),
            pa.array([r.problem for r in chunk], pa.string()),
            pa.array([r.content for r in chunk], pa.binary()),
            pa.array([r.length for r in chunk], pa.int64()),
            pa.array([r.sha256 for r in chunk], pa.string()),
        ],
        schema=schema(),
    )


def text_batch(text: Any, lengths: Any, problems: Any = None) -> pa.RecordBatch:
    """Records that are kept whole and are UTF-8, as one batch, from Arrow arrays."""
    count = len(text)
    return pa.record_batch(
        [
            text,
            pa.nulls(count, pa.string()) if problems is None else problems,
            pa.nulls(count, pa.binary()),
            lengths.cast(pa.int64()),
            pa.nulls(count, pa.string()),
        ],
        schema=schema(),
    )
