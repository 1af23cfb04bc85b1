"""What an answer of the API means for the one who asked: pure rules, no I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from activity_audit.base.hours import aware, now_utc

_MESSAGE_FIELDS = ("Message", "message", "error_description", "error")
_LONGEST_MESSAGE = 200
_TRANSIENT = {408, 425, 429}


class TransientError(Exception):
    """It may go well another time. `retry_after`: after so many seconds, where the server said so."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Verdict(Enum):
    """What to do after an answer."""

    FINE = "fine"
    AGAIN = "again"
    UNAUTHORISED = "unauthorised"
    REFUSED = "refused"


def verdict(status: int) -> Verdict:
    """What a status of the audit API means.

    403 is what a sibling API answers when it is called too often, so it is tried again like 429.
    """
    if status == 200:
        return Verdict.FINE
    if status == 401:
        return Verdict.UNAUTHORISED
    return Verdict.AGAIN if status == 403 or status in _TRANSIENT or status >= 500 else Verdict.REFUSED


def token_verdict(status: int, retry_after: float | None) -> Verdict:
    """What a status of the token service means: there 403 is a refusal, unless it says when to come again."""
    if 200 <= status < 300:
        return Verdict.FINE
    if status in _TRANSIENT or status >= 500 or (status == 403 and retry_after is not None):
        return Verdict.AGAIN
    return Verdict.UNAUTHORISED if status in (400, 401, 403) else Verdict.REFUSED


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """How long a Retry-After header asks to wait: seconds or an HTTP date; None where it says nothing."""
    if value is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}(\.\d+)?\s*", value, re.ASCII):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(((moment if moment.tzinfo else aware(moment)) - now).total_seconds(), 0.0)


def try_again(message: str, headers: Mapping[str, str]) -> TransientError:
    """The error of an answer that may be another one later, as the answer's headers say."""
    return TransientError(message, retry_after_seconds(headers.get("Retry-After"), now_utc()))


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that an answer is; an empty one for any other JSON.

    Raises:
        TransientError: if it is not JSON.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise TransientError("its answer is not JSON") from None
    return document if isinstance(document, dict) else {}


def message_of(status: int, body: str) -> str:
    """The status, and what the body says about it where it is an error object of the API."""
    try:
        document = json_object(body.encode())
    except TransientError:
        return str(status)
    said = [document.get(name) for name in _MESSAGE_FIELDS]
    text = next((item for item in said if isinstance(item, str) and item.strip()), "")
    return f"{status} {text.strip()[:_LONGEST_MESSAGE]}" if text else str(status)
