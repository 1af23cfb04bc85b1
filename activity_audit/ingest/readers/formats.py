"""The formats of feed files, chosen by the file's name; each format's reader is in `read_*`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Shape = Literal["lines", "json", "csv", "parquet"]
Compression = Literal["gz", "zst"]

_SHAPES: dict[str, Shape] = {
    "ndjson": "lines",
    "jsonl": "lines",
    "json": "json",
    "csv": "csv",
    "parquet": "parquet",
}
_COMPRESSIONS: tuple[Compression, ...] = ("gz", "zst")
MANIFEST_NAME = "_manifest.json"


@dataclass(frozen=True)
class FeedFormat:
    """How a feed file is laid out and compressed."""

    shape: Shape
    compression: Compression | None


def is_feed_name(name: str) -> bool:
    """Whether a file of this name is a delivery at all, not a hidden, private or unfinished file."""
    return not name.startswith((".", "_")) and not name.lower().endswith((".tmp", ".part"))


def feed_format(name: str) -> FeedFormat | None:
    """The format that a file name declares, or None where it declares none that we read."""
    parts = name.lower().split(".")
    compression = next((c for c in _COMPRESSIONS if parts[-1] == c), None)
    extension = parts[-2] if compression and len(parts) > 2 else parts[-1]
    shape = _SHAPES.get(extension) if len(parts) > 1 else None
    return FeedFormat(shape, compression) if shape else None
