"""The values of AUDIT_ALERT_TO and its file: URLs of places to which alerts are sent, which have secrets in them."""

from __future__ import annotations

import re
from pathlib import Path

# A comma inside of a URL, as between two recipients, is its own.
_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][\w+.-]*://)|\s+")
_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")


def places(text: str) -> list[str]:
    """The URLs in a text, separated by white space or commas.

    Raises:
        ValueError: if something else is in it; the message does not quote it.
    """
    found = [part for part in _BETWEEN.split(text.strip()) if part]
    if not all(map(_URL.fullmatch, found)):
        raise ValueError("must be URLs such as mailto://user:password@mail.example.org, separated by spaces")
    return found


def places_in(path: Path | None) -> list[str]:
    """The URLs in a file; lines that begin with # are left out.

    Raises:
        ValueError: if it cannot be read, or has something else in it.
    """
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ValueError(f"cannot be read: {reason}") from None
    return places(" ".join(line for line in lines if not line.lstrip().startswith("#")))
