"""How texts are matched: by what one field contains, by whether it has a text at all, and in all fields at once."""

from __future__ import annotations

import re
from typing import Any

from activity_audit.warehouse.events.columns import COLUMNS

TIME = COLUMNS[0].field
# What a search looks through: the time as it is written, and the texts.
SEARCHED = tuple(column.field for column in COLUMNS)
LONGEST = 200
_LIKE_A_TIME = re.compile(r"[0-9:. -]+")


def contains(text: str) -> str:
    """SQL of whether a text (SQL) contains the text to bind, in upper or lower case."""
    return f"contains(lower({text}), lower(?))"


def is_empty(field: str) -> str:
    """SQL of whether a field has no value, or the empty text."""
    return f"coalesce({field}, '') = ''"


def is_filled(field: str) -> str:
    """SQL of the opposite."""
    return f"{field} <> ''"


def found(text: str, fields: tuple[str, ...]) -> tuple[str, list[Any]]:
    """SQL of whether one of the fields contains the text, with the values to bind.

    The time is looked at only for what may be a part of one, since that of every event would have to be written.
    """
    named = [field for field in fields if field != TIME]
    either = [contains(field) for field in named]
    values: list[Any] = [text] * len(named)
    if TIME in fields and _LIKE_A_TIME.fullmatch(text):
        either.append(f"contains(cast({TIME} as varchar), ?)")
        values.append(text)
    return f"({' or '.join(either)})", values
