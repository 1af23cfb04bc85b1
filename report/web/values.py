"""Values of the warehouse as texts in a URL. A null and an empty text are values too, and a form sends neither."""

from __future__ import annotations

_NULL = "~null"
_EMPTY = "~empty"


def encode(value: str | None) -> str:
    """The value as a URL has it; no two values have the same text."""
    if value is None:
        return _NULL
    if not value:
        return _EMPTY
    return f"~{value}" if value.startswith("~") else value


def decode(text: str) -> str | None:
    """The value that `encode` made the text from."""
    if text == _NULL:
        return None
    if text == _EMPTY:
        return ""
    return text.removeprefix("~") if text.startswith("~~") else text
