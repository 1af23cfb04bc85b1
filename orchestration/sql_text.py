"""Text inside SQL, where DuckDB takes no parameter: paths of ATTACH and of table functions, comments, settings."""

from __future__ import annotations


def literal(text: str) -> str:
    """The text as an SQL string, quotes and all."""
    return "'" + text.replace("'", "''") + "'"
