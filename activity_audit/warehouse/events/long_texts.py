"""Texts that are too long for a URL: the URL has their hash, and the warehouse finds the text by it.

What events hold has no bound, and a link must be followed by every browser and proxy.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

# In bytes; a byte takes three characters of a URL at most, and a URL has several values.
LONGEST = 250
# Of the part of a URL that says what is asked for, in characters: what is too much for it is not chosen.
LONGEST_QUERY = 8000
_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Digest:
    """A text by the SHA-256 of its UTF-8, in hexadecimal digits. Raises ValueError if it is none."""

    sha256: str

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError("a SHA-256 has 64 hexadecimal digits")

    def __str__(self) -> str:
        return f"(a long text, SHA-256 {self.sha256[:12]}…)"


# A value of the warehouse as a URL can say it; None is that of an event that has none.
Value = str | Digest | None


def whole_text(value: Value) -> str:
    """The whole value for people, in a list of values that is a text; a blank one is in quotes, so that it is seen."""
    if value is None:
        return "(none)"
    return str(value) if str(value).strip() else f'"{value}"'


def short(value: Value) -> Value:
    """The value, or its digest where it is too long."""
    # A character has four bytes at most, and most texts are so short that they need not be counted.
    if not isinstance(value, str) or len(value) <= LONGEST // 4:
        return value
    encoded = value.encode()
    return Digest(hashlib.sha256(encoded).hexdigest()) if len(encoded) > LONGEST else value


class NoSuchTextError(ValueError):
    """The warehouse has no text with this digest where it was looked for."""

    def __init__(self) -> None:
        super().__init__("the link names a long text by its hash, and no event has it any more")
