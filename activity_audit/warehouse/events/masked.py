"""The fields that say who did what to whom, and what stands in their place for readers who may not know.

It is one word for every value, a missing one too, and not a pseudonym: docs/adr/0040-masked-is-one-word.md. What a
masked reader filters, sorts, groups or counts by has the word as well, so that nothing can be found out by asking.
"""

from __future__ import annotations

FIELDS = ("triggered_by", "instance", "comments")
WORD = "masked"
SAID = f"{', '.join(FIELDS[:-1])} and {FIELDS[-1]} are masked"
_REPLACED = ", ".join(f"'{WORD}' as {field}" for field in FIELDS)


def masked(relation: str) -> str:
    """Events as a masked reader has them; `relation` is SQL that may follow FROM, with the fields as they are."""
    return f"(select * replace ({_REPLACED}) from {relation})"
