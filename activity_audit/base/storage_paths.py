"""Folders of this machine and prefixes of buckets, as settings name them, and whether one contains another."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOCAL_SCHEMES = ("file://", "local://")
# Names of one scheme, by which the same bucket is reached.
_ALIASES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfss": "abfs", "az": "abfs"}


@dataclass(frozen=True)
class Place:
    """A folder or file: the store that it is in, empty for this machine, and the names that lead to it."""

    store: str
    names: tuple[str, ...]

    def is_in(self, other: Place) -> bool:
        """Whether it is the other place, or lies below it."""
        return self.store == other.store and self.names[: len(other.names)] == other.names

    def overlaps(self, other: Place) -> bool:
        """Whether the two are the same, or one lies in the other."""
        return self.is_in(other) or other.is_in(self)


def place(text: str) -> Place:
    """The place that a path or a URL names; links and `..` are followed, as the system does."""
    path = local_path(text)
    if path is not None:
        return Place("", Path(os.path.realpath(path)).parts)
    parts = urlsplit(text)
    scheme = parts.scheme.lower()
    key = posixpath.normpath(parts.path).strip("/.")
    return Place(f"{_ALIASES.get(scheme, scheme)}://{parts.netloc}", tuple(filter(None, key.split("/"))))


def local_path(text: str) -> Path | None:
    """The path of this machine that a path or URL names, as it is; None for a URL of another file system.

    In a URL, and there only, `%20` stands for a space, and so on.
    """
    for scheme in _LOCAL_SCHEMES:
        if text.lower().startswith(scheme):
            return Path(unquote(text[len(scheme) :]) or "/")
    return None if "://" in text else Path(text).expanduser()
