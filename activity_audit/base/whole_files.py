"""Writes that survive a crash: a small file is replaced as a whole, and folder entries are flushed to disk."""

from __future__ import annotations

import os
from pathlib import Path


def rewrite(path: Path, text: str) -> None:
    """Give a file this content: a reader, or a crash, finds the old one or the new one, whole.

    One process at a time may do so; the folder must exist.
    """
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def sync(path: Path) -> None:
    """Bring the content of a file, or the names of the files in a folder, to disk, as they are now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
