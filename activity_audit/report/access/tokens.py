"""One-time links: a random token that opens one session, once, for a while."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from datetime import timedelta


class TokenRefusedError(ValueError):
    """The token opens nothing; the message says why and what to do."""


class Tokens:
    """The tokens that were given out; what is kept is their hash."""

    def __init__(self, life: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._life = life.total_seconds()
        self._clock = clock
        self._lock = threading.Lock()
        self._born: dict[str, float | None] = {}

    def give(self) -> str:
        """A new token of 256 random bits."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._born[_hash(token)] = self._clock()
        return token

    def use(self, token: str) -> None:
        """Use up a token.

        Raises:
            TokenRefusedError: if it was used before, is too old, or is none.
        """
        key = _hash(token)
        with self._lock:
            known = key in self._born
            born = self._born.get(key)
            if known:
                self._born[key] = None
        again = "stop `audit report`, or `audit serve`, and start it again: it prints a new link"
        if not known:
            raise TokenRefusedError(f"this link belongs to a report that no longer runs; {again}")
        if born is None:
            raise TokenRefusedError(f"this link was opened before, and works only once; {again}")
        if self._clock() - born > self._life:
            raise TokenRefusedError(f"this link is too old; {again}")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
