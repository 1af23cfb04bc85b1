"""Cursors of the ordered events, as URLs and scripts carry them: the row's sort value and its id."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import MAXYEAR, datetime
from typing import Any

from activity_audit.report.queries.groups import Group
from activity_audit.report.queries.orders import TIME, Key
from activity_audit.report.web.urls import BadLinkError
from activity_audit.warehouse.events.long_texts import Digest, short

_DAMAGED = "the link's position in the table is damaged; open the report without it"
# What the fields of a key have that are no texts; a text may be missing.
_KINDS = {TIME: datetime, "quarantined_at_utc": datetime, "source_record": int}
_LARGEST = 2**63


def encode_key(key: Key | None, *, whole: bool = False) -> str | None:
    """The key as text of letters, digits, `-` and `_`; None for None.

    Of a long text it has the digest, or all where it is to be `whole`.
    """
    if key is None:
        return None
    return _text([_part(part, whole) for part in key])


def decode_key(text: str | None, fields: Sequence[str], *, whole: bool = False) -> Key | None:
    """The key of these fields that `encode_key` wrote, with digests of long texts unless it must be `whole`.

    Raises:
        BadLinkError: if it wrote nothing such.
    """
    if not text:
        return None
    parts = _parts(text)
    if len(parts) != len(fields):
        raise BadLinkError(_DAMAGED)
    key = tuple(_key_part(part, _KINDS.get(field, str)) for part, field in zip(parts, fields, strict=True))
    if whole and any(isinstance(part, Digest) for part in key):
        raise BadLinkError(_DAMAGED)
    return key


def _part(part: Any, whole: bool = False) -> Any:
    match part:
        case datetime():
            return {"t": part.isoformat()}
        case str() if not whole:
            value = short(part)
            return {"sha256": value.sha256} if isinstance(value, Digest) else value
    return part


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except ValueError:
        raise BadLinkError(_DAMAGED) from None


def _key_part(part: Any, kind: type) -> str | Digest | int | datetime | None:
    match part:
        case None | str() if kind is str:
            return part
        case int() if kind is int and abs(part) < _LARGEST:
            return part
        case {"t": str(text)} if kind is datetime:
            return _time(text)
        case {"sha256": str(text)} if kind is str:
            return _digest(text)
    raise BadLinkError(_DAMAGED)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadLinkError(_DAMAGED) from None
    if time.tzinfo or time.year == MAXYEAR:
        raise BadLinkError(_DAMAGED)
    return time


def encode_group(group: Group) -> str:
    """A group, as the place behind which the next ones stand."""
    numbers = [group.count, group.success, group.failure, group.people, group.before]
    return _text([_part(group.value), *numbers])


def decode_group(text: str | None) -> Group | None:
    """The group that `encode_group` wrote.

    Raises:
        BadLinkError: if it wrote nothing such.
    """
    if not text:
        return None
    value, *numbers = _parts(text) or [0]
    if len(numbers) not in (3, 5) or not all(_is_number(one, place > 2) for place, one in enumerate(numbers)):
        raise BadLinkError(_DAMAGED)
    match value:
        case None | str():
            return Group(value, *numbers)
        case {"sha256": str(text)}:
            return Group(_digest(text), *numbers)
    raise BadLinkError(_DAMAGED)


def _is_number(part: Any, may_lack: bool) -> bool:
    return (may_lack and part is None) or (type(part) is int and abs(part) < _LARGEST)


def _text(parts: list[Any]) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _parts(text: str) -> list[Any]:
    try:
        parts = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        # Half a character, as JSON can name it, is no text that the warehouse could be asked for.
        json.dumps(parts, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadLinkError(_DAMAGED) from None
    return parts if isinstance(parts, list) else []
