"""How often and after which waits something is tried again, by the settings; tenacity does the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from activity_audit.ingest.cxone.answers import TransientError
from activity_audit.ingest.sources.source import SourceError
from activity_audit.settings.cxone import CxoneSettings

if TYPE_CHECKING:
    from tenacity import RetryCallState

Result = TypeVar("Result")


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
