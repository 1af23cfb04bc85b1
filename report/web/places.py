"""A place in the ordered events, as a URL or a script hands it on: the row's sort value and its id."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any

from report.queries.groups import Group
from report.queries.orders import Key
from report.web.urls import BadLinkError

_DAMAGED = "the link's place in the table is damaged; open the report from its beginning"


def encode_key(key: Key | None) -> str | None:
    """The key as text of letters, digits, `-` and `_`; None for None."""
    if key is None:
        return None
    return _text([{"t": part.isoformat()} if isinstance(part, datetime) else part for part in key])


def decode_key(text: str | None, parts: int) -> Key | None:
    """The key of so many parts that `encode_key` wrote.

    Raises:
        BadLinkError: if it wrote nothing such.
    """
    if not text:
        return None
    key = tuple(map(_key_part, _parts(text)))
    if len(key) != parts:
        raise BadLinkError(_DAMAGED)
    return key


def _key_part(part: Any) -> str | int | datetime | None:
    match part:
        case None | str() | int():
            return part
        case {"t": str(time)}:
            try:
                return datetime.fromisoformat(time)
            except ValueError:
                raise BadLinkError(_DAMAGED) from None
    raise BadLinkError(_DAMAGED)


def encode_group(group: Group) -> str:
    """A group, as the place behind which the next ones stand."""
    return _text([group.value, group.count, group.success, group.failure])


def decode_group(text: str | None) -> Group | None:
    """The group that `encode_group` wrote.

    Raises:
        BadLinkError: if it wrote nothing such.
    """
    if not text:
        return None
    match _parts(text):
        case [None | str() as value, int(count), int(success), int(failure)]:
            return Group(value, count, success, failure)
    raise BadLinkError(_DAMAGED)


def _text(parts: list[Any]) -> str:
    return urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def _parts(text: str) -> list[Any]:
    try:
        parts = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise BadLinkError(_DAMAGED) from None
    return parts if isinstance(parts, list) else []
