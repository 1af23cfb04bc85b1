"""Values as people read them: times in UTC, counts, sizes, nulls. Nothing here knows the reader's own zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from activity_audit.warehouse.events.long_texts import Value

NO_VALUE = "—"
# Of a text in a table, and in a list; the page of an event has all of it. So a page has a bound, whatever events hold.
LONGEST_CELL, LONGEST_VALUE = 1000, 300


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


def bytes_text(value: int) -> str:
    """A size: 1.2 MB."""
    size = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
