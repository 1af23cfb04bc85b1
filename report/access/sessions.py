"""Sessions of the server: the browser has a random id, everything else stays here, in memory.

A restart ends them all. What is kept is the id's hash, so that a copy of the memory is no key.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

_MOST_ANONYMOUS = 1000


@dataclass
class Session:
    """One browser: `name` is its user's, None until they have signed in; `roles` as the provider or proxy gave them."""

    key: str
    csrf: str
    begun: float
    seen: float
    name: str | None = None
    roles: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)


class Sessions:
    """All sessions; they end after `idle` without a request, and after `longest` in any case.

    `on_end` is called with the key of each that ends, which no other session ever has.
    """

    def __init__(self, idle: timedelta, longest: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._idle = idle.total_seconds()
        self._longest = longest.total_seconds()
        self._clock = clock
        self._lock = threading.Lock()
        self._by_key: dict[str, Session] = {}
        self.on_end: Callable[[str], None] = lambda _: None

    def begin(self, name: str | None = None, roles: tuple[str, ...] = ()) -> tuple[str, Session]:
        """A new session, and the id that is its cookie's value; of anonymous ones the oldest make room."""
        now = self._clock()
        token = secrets.token_urlsafe(32)
        session = Session(_hash(token), secrets.token_urlsafe(32), now, now, name, roles)
        with self._lock:
            ended = [key for key, known in self._by_key.items() if self._is_over(known, now)]
            if name is None:
                anonymous = [key for key, known in self._by_key.items() if known.name is None and key not in ended]
                ended += anonymous[: max(len(anonymous) - _MOST_ANONYMOUS + 1, 0)]
            self._by_key = {key: known for key, known in self._by_key.items() if key not in set(ended)}
            self._by_key[session.key] = session
        for key in ended:
            self.on_end(key)
        return token, session

    def find(self, token: str | None) -> Session | None:
        """The session of this id, if it is not over; it has been seen now."""
        if not token:
            return None
        now = self._clock()
        key = _hash(token)
        with self._lock:
            session = self._by_key.get(key)
            if session and not self._is_over(session, now):
                session.seen = now
                return session
            self._by_key.pop(key, None)
        if session:
            self.on_end(key)
        return None

    def sweep(self) -> None:
        """Forget the sessions that are over, though nobody asks for them any more."""
        now = self._clock()
        with self._lock:
            ended = [key for key, known in self._by_key.items() if self._is_over(known, now)]
            for key in ended:
                del self._by_key[key]
        for key in ended:
            self.on_end(key)

    def end(self, session: Session) -> None:
        """Forget a session."""
        with self._lock:
            known = self._by_key.pop(session.key, None)
        if known:
            self.on_end(session.key)

    def _is_over(self, session: Session, now: float) -> bool:
        return now - session.seen > self._idle or now - session.begun > self._longest


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
