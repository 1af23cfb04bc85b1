"""One received record as the raw lake keeps it, and batches of them.

Every reader yields records in file order; a record's position counts records, from 1, not lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Problem = Literal["unparseable", "too_large"]
KEPT_BYTES = 64 * 1024
_BATCH_RECORDS = 50_000


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


def from_bytes(content: bytes, max_bytes: int, problem: Problem | None = None) -> Record:
    """The record that these bytes are; undecodable or oversized ones become problems, never errors."""
    if len(content) > max_bytes:
        return too_large(content[:KEPT_BYTES], len(content), hashlib.sha256(content).hexdigest())
    try:
        return Record(content.decode("utf-8"), problem, length=len(content))
    except UnicodeDecodeError:
        text = content.decode("utf-8", errors="backslashreplace")
        return Record(text, "unparseable", content=content, length=len(content))


def too_large(head: bytes, length: int, sha256: str) -> Record:
    """What is kept of a record over the size limit: its head, its length and its hash."""
    text = head[:KEPT_BYTES].decode("utf-8", errors="backslashreplace")
    return Record(text, "too_large", length=length, sha256=sha256)


def schema() -> pa.Schema:
    """The Arrow schema of record batches, which is the raw lake's."""
    import pyarrow as pa

    return pa.schema(
        [
            ("source_record", pa.int64()),
            ("record", pa.string()),
            ("problem", pa.string()),
            ("record_bytes", pa.binary()),
            ("record_length", pa.int64()),
            ("record_sha256", pa.string()),
        ]
    )


def to_batches(records: Iterator[Record], first: int = 1) -> Iterator[pa.RecordBatch]:
    """Records as Arrow batches, numbered from `first`."""
    import pyarrow as pa

    position = first
    while chunk := list(islice(records, _BATCH_RECORDS)):
        yield pa.record_batch(
            [
                pa.array(range(position, position + len(chunk)), pa.int64()),
                pa.array([r.text for r in chunk], pa.string()),
                pa.array([r.problem for r in chunk], pa.string()),
                pa.array([r.content for r in chunk], pa.binary()),
                pa.array([r.length for r in chunk], pa.int64()),
                pa.array([r.sha256 for r in chunk], pa.string()),
            ],
            schema=schema(),
        )
        position += len(chunk)
