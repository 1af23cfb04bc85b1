"""The feed contract in plain Python, without a line of the product's own reading, for bytes of any kind.

It says of each record what it is, or that it does not know: `None` for a record that is none, and UNKNOWN for one that
it does not judge.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

# The fields by their names, in the order in which they count.
NAMES = {
    "application": ("application", "Application"),
    "entity": ("entity", "Entity"),
    "activity": ("activity", "Activity"),
    "event_time": ("eventTime", "event_time"),
    "event_time_utc": ("Event Time (UTC)",),
    "event_id": ("eventId", "event_id", "Event ID"),
    "triggered_by": ("triggeredBy", "triggered_by", "Triggered By"),
    "instance": ("instance", "Instance"),
    "outcome": ("outcome", "Outcome"),
    "comments": ("comments", "Comments"),
}
STORED = ("entity", "activity", "event_id", "triggered_by", "instance", "outcome", "comments")
UNKNOWN = object()
_TIME = re.compile(r"2026-05-01T0[0-9]:[0-5][0-9]:[0-5][0-9]Z", re.ASCII)
_BLANK = re.compile(rb"[\t-\r ]*")
Pairs = list[tuple[str, Any]]


class Number(str):
    """A number as it is written."""


class Members(list[tuple[str, Any]]):
    """The members of an object, in order, with names that are there twice."""


def lines(content: bytes) -> list[Any] | None:
    """The records of a line-delimited file; None where this does not know how many there are."""
    if content[:4].startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or content[:4096].count(0) > 400:
        return None
    if b"\r" in content.replace(b"\r\n", b"\n"):
        return None
    found = [line.removesuffix(b"\r") for line in content.split(b"\n")]
    return [record(line) for line in found if not _BLANK.fullmatch(line)]


def record(line: bytes) -> Any:
    """A line as its fields, None where it is no object by the standard."""
    try:
        value = json.loads(
            line.decode("utf-8"),
            object_pairs_hook=Members,
            parse_int=Number,
            parse_float=Number,
            parse_constant=_refuse,
        )
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return None
    except RecursionError:
        return UNKNOWN
    return fields(value) if isinstance(value, Members) else None


def fields(pairs: Pairs) -> Any:
    """The stored fields of a record; UNKNOWN where one has no plain text."""
    found = {field: _first(pairs, names) for field, names in NAMES.items()}
    return UNKNOWN if UNKNOWN in found.values() else found


def is_valid(found: Any) -> bool:
    """Whether a record has to be accepted, unless another with its id was; of some that are valid it does not know."""
    if found is None or found is UNKNOWN:
        return False
    times = [found[name] for name in ("event_time", "event_time_utc") if found[name]]
    return (
        all(found[field] for field in ("event_id", "entity", "activity"))
        and (found["outcome"] or "").upper() in ("SUCCESS", "FAILURE")
        and bool(times)
        and bool(_TIME.fullmatch(times[0]))
    )


def stored(found: dict[str, str | None]) -> tuple[str | None, ...]:
    """The columns of the fact that a record has to have."""
    return tuple((found[field] or "").upper() if field == "outcome" else found[field] for field in STORED)


def _first(pairs: Pairs, names: tuple[str, ...]) -> Any:
    for name in names:
        for key, value in pairs:
            if key == name and (text := _text(value)):
                return text
    known = {name.lower() for name in names}
    return next((text for key, value in pairs if key.strip().lower() in known and (text := _text(value))), None)


def _text(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return UNKNOWN
    # What str.strip takes for white space, and the byte order mark.
    while (shorter := value.strip().strip("\ufeff")) != value:
        value = shorter
    return unicodedata.normalize("NFC", value) or None


def _refuse(constant: str) -> None:
    raise ValueError(constant)
