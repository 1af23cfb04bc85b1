"""Sessions of the server: the browser has a random id, everything else stays here, in memory.

A restart ends them all. What is kept is the id's hash, so that a copy of the memory is no key. How many there are is
bounded, and each request takes the same time however many there are.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

MOST_OF_A_USER = 20
_MOST = 10_000


@dataclass(eq=False)
class Session:
    """One browser of the user `name`, or all that a proxy names alike; `roles` as the provider or proxy gave them."""

    key: str
    csrf: str
    begun: float
    seen: float
    name: str
    roles: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)


class Sessions:
    """All sessions; they end after `idle` without a request, and after `longest` in any case.

    A user has `MOST_OF_A_USER` at most: of more, the one that nobody came back to for longest makes room. `on_end` is
    called with the key of each that ends, which no other session ever has.
    """

    def __init__(self, idle: timedelta, longest: timedelta, clock: Callable[[], float] = time.monotonic) -> None:
        self._idle = idle.total_seconds()
        self._longest = longest.total_seconds()
        self._clock = clock
        self._lock = threading.Lock()
        # The least recently seen first, and the one begun longest ago first: those that are over are at the front.
        self._by_key: OrderedDict[str, Session] = OrderedDict()
        self._by_age: OrderedDict[str, Session] = OrderedDict()
        self._of_user: dict[str, OrderedDict[str, Session]] = {}
        self._named: dict[tuple[str, tuple[str, ...]], Session] = {}
        self.on_end: Callable[[str], None] = lambda _: None

    def begin(self, name: str, roles: tuple[str, ...] = ()) -> tuple[str, Session]:
        """A new session, and the id that is its cookie's value."""
        token = secrets.token_urlsafe(32)
        now = self._clock()
        with self._lock:
            session, ended = self._begin(_hash(token), name, roles, now)
        self._tell(ended)
        return token, session

    def of(self, name: str, roles: Iterable[str]) -> Session:
        """The one session of a user with these roles whom somebody else signs in; it needs no cookie."""
        now = self._clock()
        named = name, tuple(sorted(set(roles)))
        with self._lock:
            ended = self._over(now)
            session = self._named.get(named)
            if session:
                self._see(session, now)
            else:
                session, more = self._begin(secrets.token_hex(32), *named, now)
                self._named[named] = session
                ended += more
        self._tell(ended)
        return session

    def find(self, token: str | None, *, is_seen: bool = True) -> Session | None:
        """The session of this id, if it is not over; it has been seen now, unless its reader did nothing."""
        if not token:
            return None
        now = self._clock()
        with self._lock:
            ended = self._over(now)
            session = self._by_key.get(_hash(token))
            if session and is_seen:
                self._see(session, now)
        self._tell(ended)
        return session

    def knows(self, session: Session) -> bool:
        """Whether a session is there and not over; it has not been seen by that."""
        with self._lock:
            ended = self._over(self._clock())
            known = session.key in self._by_key
        self._tell(ended)
        return known

    def sweep(self) -> None:
        """Forget the sessions that are over, though nobody asks for them any more."""
        with self._lock:
            ended = self._over(self._clock())
        self._tell(ended)

    def end(self, session: Session) -> None:
        """Forget a session."""
        with self._lock:
            ended = [self._forget(session)] if session.key in self._by_key else []
        self._tell(ended)

    def end_all_of(self, name: str) -> None:
        """Forget every session of a user."""
        with self._lock:
            ended = [self._forget(session) for session in list(self._of_user.get(name, OrderedDict()).values())]
        self._tell(ended)

    def count_of(self, name: str) -> int:
        """How many sessions a user has."""
        with self._lock:
            return len(self._of_user.get(name, ()))

    def __len__(self) -> int:
        return len(self._by_key)

    def _begin(self, key: str, name: str, roles: tuple[str, ...], now: float) -> tuple[Session, list[str]]:
        ended = self._over(now)
        mine = self._of_user.get(name, OrderedDict())
        if len(mine) >= MOST_OF_A_USER:
            ended.append(self._forget(next(iter(mine.values()))))
        elif len(self._by_key) >= _MOST:
            ended.append(self._forget(next(iter(self._by_key.values()))))
        session = Session(key, secrets.token_urlsafe(32), now, now, name, roles)
        self._by_key[key] = self._by_age[key] = self._of_user.setdefault(name, OrderedDict())[key] = session
        return session, ended

    def _see(self, session: Session, now: float) -> None:
        session.seen = now
        self._by_key.move_to_end(session.key)
        self._of_user[session.name].move_to_end(session.key)

    def _over(self, now: float) -> list[str]:
        """Forget those that are over, and only these are looked at; their keys."""
        ended = []
        while self._by_key and now - (first := next(iter(self._by_key.values()))).seen > self._idle:
            ended.append(self._forget(first))
        while self._by_age and now - (first := next(iter(self._by_age.values()))).begun > self._longest:
            ended.append(self._forget(first))
        return ended

    def _forget(self, session: Session) -> str:
        del self._by_key[session.key], self._by_age[session.key]
        mine = self._of_user[session.name]
        del mine[session.key]
        if not mine:
            del self._of_user[session.name]
        if self._named.get((session.name, session.roles)) is session:
            del self._named[session.name, session.roles]
        return session.key

    def _tell(self, ended: list[str]) -> None:
        for key in ended:
            self.on_end(key)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
