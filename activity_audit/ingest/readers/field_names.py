"""The names under which a feed may carry the nine fields, as far as reading a file depends on them.

What each name means is the dbt macro `field_names`; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

KNOWN = frozenset(
    {
        "application", "entity", "activity", "eventtime", "event_time", "event time (utc)", "eventid", "event_id",
        "event id", "triggeredby", "triggered_by", "triggered by", "instance", "outcome", "comments",
    }
)  # fmt: skip
# What a cell of a record has, and no name of a column: an outcome, or the beginning of a time.
_VALUE = re.compile(r"success|failure|\d{4}-?\d\d-?\d\d[T ]\d\d.*|\d\d?/\d\d?/\d{4}.*", re.IGNORECASE | re.DOTALL)


def known_fields(names: Iterable[str]) -> int:
    """How many different known names these have, in any case; 0 if one of them is a value, as of a record."""
    cleaned = [name.strip() for name in names]
    if any(_VALUE.fullmatch(name) for name in cleaned):
        return 0
    return len(KNOWN.intersection(name.lower() for name in cleaned))
