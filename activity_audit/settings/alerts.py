"""The value of AUDIT_ALERT_TO: URLs of places to which alerts are sent, which have secrets in them."""

from __future__ import annotations

import re

# A comma inside of a URL, as between two recipients, is its own.
_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][\w+.-]*://)|\s+")
_URL = re.compile(r"[A-Za-z][\w+.-]*://\S+")
# In a file, what is written about the places.
_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)


def places(text: str) -> list[str]:
    """The URLs in a text, separated by white space or commas; lines that begin with # are left out.

    Raises:
        ValueError: if something else is in it; the message does not quote it.
    """
    found = [part for part in _BETWEEN.split(_COMMENT.sub("", text).strip()) if part]
    if not all(map(_URL.fullmatch, found)):
        raise ValueError("must be URLs such as mailto://user:password@mail.example.org, separated by spaces")
    return found
