"""The meaning of each answer of the API, and how often a request is repeated; tenacity does the waiting."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from activity_audit.base.hours import aware, now_utc
from activity_audit.ingest.sources.source import SourceError
from activity_audit.settings.cxone import CxoneSettings

if TYPE_CHECKING:
    from tenacity import RetryCallState

_MESSAGE_FIELDS = ("Message", "message", "error_description", "error")
_LONGEST_MESSAGE = 200
_TRANSIENT = {408, 425, 429}
Result = TypeVar("Result")


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
    except (ValueError, OverflowError):
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


class Attempts:
    """Tries again what fails for the moment. `stop` ends a wait, and with it the attempts."""

    def __init__(self, settings: CxoneSettings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop

    def call(self, function: Callable[[], Result], what: str) -> Result:
        """The function's result. `what` says in an error what could not be done.

        Raises:
            SourceError: if all attempts fail for the moment, or nothing more is wanted; any other error at once.
        """
        from tenacity import Retrying, retry_if_exception_type, sleep_using_event, stop_after_attempt

        retrying = Retrying(
            stop=stop_after_attempt(self._settings.max_attempts),
            wait=self._wait,
            retry=retry_if_exception_type(TransientError),
            sleep=sleep_using_event(self._stop),
            reraise=True,
        )
        try:
            return retrying(self._unless_stopped, function)
        except TransientError as error:
            tries = self._settings.max_attempts
            raise SourceError(f"{what}: {error}, after {tries} attempt{'s' if tries > 1 else ''}") from None

    def _unless_stopped(self, function: Callable[[], Result]) -> Result:
        if self._stop.is_set():
            raise SourceError("the run ended before it was read")
        return function()

    def _wait(self, state: RetryCallState) -> float:
        from tenacity import wait_exponential_jitter

        first, longest = self._settings.retry_wait.total_seconds(), self._settings.max_wait.total_seconds()
        wait = wait_exponential_jitter(initial=first, max=longest, jitter=first)(state)
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, TransientError) else None
        return min(max(wait, asked or 0.0), longest)
