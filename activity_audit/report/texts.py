"""Values as people read them, and as texts in a URL or a form. Times are UTC; nothing here knows the reader's zone.

A null and an empty text are values too, and a form sends neither. A browser changes control characters of what a form
sends, so they are escaped; a text that is too long is represented by its hash.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta
from typing import Any

from activity_audit.warehouse.events.long_texts import Digest, Value, short

NO_VALUE = "—"
# Of a text in a table, and in a list; the page of an event has all of it. So a page has a bound, whatever events hold.
LONGEST_CELL, LONGEST_VALUE = 1000, 300
_NULL = "~null"
_EMPTY = "~empty"
_HASH = "~sha256:"
_ESCAPED = "~esc:"
_CONTROL = re.compile("[\0-\x1f\x7f]")
_ESCAPABLE = re.compile("[\0-\x1f\x7f%]")
_ESCAPE = re.compile("%([0-9A-F]{2})")


def time_text(value: datetime | None) -> str:
    """`2026-05-01 10:15:00`, UTC, with the milliseconds or microseconds where there are some."""
    if value is None:
        return NO_VALUE
    plain = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    fine = "seconds" if not plain.microsecond else "milliseconds" if plain.microsecond % 1000 == 0 else "microseconds"
    return plain.isoformat(sep=" ", timespec=fine)


def hour_text(value: datetime | None) -> str:
    """`2026-05-01 10:00`, UTC."""
    return time_text(value)[:16]


def span_text(start: datetime, end: datetime) -> str:
    """A period of whole minutes, `end` not included: as days, both included, where it is of whole days."""
    last = end - timedelta(microseconds=1)
    if start.time() != time() or end.time() != time():
        return f"{hour_text(start)} to {hour_text(end)}"
    return f"{start.date()}" if start.date() == last.date() else f"{start.date()} to {last.date()}"


def cell_text(value: Any) -> str | None:
    """A cell of the table as text; None stays None."""
    return time_text(value) if isinstance(value, datetime) else value


def value_text(value: Value) -> str:
    """A value in a list of values."""
    if value is None:
        return "(no value)"
    return cut(str(value), LONGEST_VALUE) if str(value).strip() else "(blank)"


def cut(text: str, longest: int = LONGEST_CELL) -> str:
    """The text, or its beginning and how long all of it is."""
    return text if len(text) <= longest else f"{text[:longest]}… [cut: {len(text):,} characters]"


def some_text(detail: str, most: int = 10) -> str:
    """What is wrong with an hour: the first things that are named in it, and how many more there are."""
    named = detail.split("; ")
    shown = cut("; ".join(named[:most]))
    if (more := len(named) - most) <= 0:
        return shown
    return f"{shown}; and {count_text(more)} more, all in quality.feed_reconciliation"


def opening(text: str, longest: int = 400, lines: int = 8) -> str:
    """The beginning of a text that is shown in full elsewhere: so many characters, and lines, at most."""
    return "\n".join(text[:longest].split("\n")[:lines])


def count_text(value: int) -> str:
    """A count with its thousands apart: 1,234,567."""
    return f"{value:,}"


def compact_text(value: int) -> str:
    """A count where there is little room: 950, 1.2k, 35k, 1.2M."""
    size = float(value)
    for unit in ("", "k", "M"):
        if round(size) < 1000:
            return f"{size:.1f}{unit}" if unit and size < 9.95 else f"{size:.0f}{unit}"
        size /= 1000
    return f"{size:.0f}G"


def bytes_text(value: int) -> str:
    """A size: 1.2 MB."""
    size = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


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
