"""What the tests of the readers share: how a delivery's bytes are read, and what is expected of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from orchestration.feeds.formats import feed_format
from orchestration.feeds.raw_parquet import read_delivery
from orchestration.feeds.read_csv import read_csv
from orchestration.feeds.read_json import read_json
from orchestration.feeds.read_lines import read_lines
from orchestration.feeds.records import KEPT_BYTES
from orchestration.feeds.streams import BLOCK, Blocks

MAX = 1 << 20
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda content: gzip.compress(content, mtime=0),
    "zst": lambda content: zstandard.ZstdCompressor(write_checksum=True).compress(content),
}
_READERS = {"lines": read_lines, "json": read_json, "csv": read_csv}

Row = dict[str, Any]


def rows_of(batches: Any) -> list[Row]:
    return [row for batch in batches for row in batch.to_pylist()]


def read(shape: str, content: bytes, max_bytes: int = MAX, block: int = BLOCK) -> list[Row]:
    """The records of a delivery's content, read in blocks of this size."""
    return rows_of(_READERS[shape](Blocks(io.BytesIO(content), size=block), max_bytes))


def deliver(name: str, content: bytes, scratch: Path, max_bytes: int = MAX) -> list[Row]:
    """The records of a delivery of this name."""
    declared = feed_format(name)
    assert declared
    return rows_of(read_delivery(io.BytesIO(content), len(content), declared, max_bytes, scratch))


def texts(rows: list[Row]) -> list[str]:
    return [row["record"] for row in rows]


def problems(rows: list[Row]) -> list[str | None]:
    return [row["problem"] for row in rows]


def values(rows: list[Row]) -> list[Any]:
    """The records without a problem, as JSON values."""
    return [json.loads(row["record"]) for row in rows if row["problem"] is None]


def expected(content: bytes, max_bytes: int = MAX) -> Row:
    """What is kept of a record, whatever its text says."""
    if len(content) > max_bytes:
        text = content[:KEPT_BYTES].decode("utf-8", errors="backslashreplace")
        digest = hashlib.sha256(content).hexdigest()
        return row(text, "too_large", None, len(content), digest)
    try:
        return row(content.decode(), None, None, len(content), None)
    except UnicodeDecodeError:
        text = content.decode("utf-8", errors="backslashreplace")
        return row(text, "unparseable", content, len(content), None)


def row(text: str, problem: str | None, content: bytes | None, length: int | None, sha256: str | None) -> Row:
    return {
        "record": text,
        "problem": problem,
        "record_bytes": content,
        "record_length": length,
        "record_sha256": sha256,
    }
