"""One-time links: a random token that opens one session, once, for a while.

A token is signed with the key of the report that takes it, so that another process of the same user can give one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from datetime import timedelta


class TokenRefusedError(ValueError):
    """The token opens nothing; the message says why and what to do."""


def new_token(key: str, clock: Callable[[], float] = time.monotonic) -> str:
    """A new token of 256 random bits for the report with this key. The clock is the machine's, since its start."""
    said = f"{secrets.token_urlsafe(32)}.{int(clock())}"
    return f"{said}.{_mac(key, said)}"


class Tokens:
    """The tokens of one report; what is kept of those that were used is their hash, until they are too old anyway."""

    def __init__(self, life: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self.key = secrets.token_urlsafe(32)
        self._life = life.total_seconds()
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[str, float] = {}

    def give(self) -> str:
        """A new token."""
        return new_token(self.key, self._clock)

    def use(self, token: str) -> None:
        """Use up a token.

        Raises:
            TokenRefusedError: if it was used before, is too old, or is none.
        """
        again = "`audit link` prints a new one"
        said, _, signature = token.rpartition(".")
        if not hmac.compare_digest(_mac(self.key, said).encode(), signature.encode(errors="replace")):
            raise TokenRefusedError(f"this link belongs to a report that no longer runs; {again}")
        now, key = self._clock(), hashlib.sha256(said.encode()).hexdigest()
        with self._lock:
            was_used = key in self._used
            self._used = {one: born for one, born in self._used.items() if now - born <= self._life}
            born = int(said.rpartition(".")[2])
            if not was_used:
                self._used[key] = born
        if was_used:
            raise TokenRefusedError(f"this link was opened before, and works only once; {again}")
        if now - born > self._life:
            raise TokenRefusedError(f"this link is too old; {again}")


def _mac(key: str, said: str) -> str:
    return hmac.new(key.encode(), said.encode(errors="replace"), hashlib.sha256).hexdigest()
