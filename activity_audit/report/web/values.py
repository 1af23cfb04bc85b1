"""Values of the warehouse as texts in a URL, and in a form.

A null and an empty text are values too, and a form sends neither. A browser changes control characters of what a form
sends, so they are escaped; a text that is too long stands as its hash.
"""

from __future__ import annotations

import re

from activity_audit.warehouse.events.long_texts import Digest, Value, short

_NULL = "~null"
_EMPTY = "~empty"
_HASH = "~sha256:"
_ESCAPED = "~esc:"
_CONTROL = re.compile("[\0-\x1f\x7f]")
_ESCAPABLE = re.compile("[\0-\x1f\x7f%]")
_ESCAPE = re.compile("%([0-9A-F]{2})")


def encode(value: Value) -> str:
    """The value as a URL has it; no two values have the same text."""
    value = short(value)
    if value is None:
        return _NULL
    if isinstance(value, Digest):
        return f"{_HASH}{value.sha256}"
    if not value:
        return _EMPTY
    if _CONTROL.search(value):
        return _ESCAPED + _ESCAPABLE.sub(lambda found: f"%{ord(found[0]):02X}", value)
    return f"~{value}" if value.startswith("~") else value


def decode(text: str) -> Value:
    """The value that `encode` made the text from."""
    if text == _NULL:
        return None
    if text == _EMPTY:
        return ""
    if text.startswith(_HASH):
        try:
            return Digest(text.removeprefix(_HASH))
        except ValueError:
            return text
    if text.startswith(_ESCAPED):
        return short(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text.removeprefix(_ESCAPED)))
    return short(text.removeprefix("~") if text.startswith("~~") else text)
