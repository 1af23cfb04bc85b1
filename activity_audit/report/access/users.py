"""Users from a TOML file, read again whenever it changes, and their passwords.

[users."clarissa.dalloway"]
password = "$argon2id$…"
roles = ["analyst"]

Passwords are hashed with Argon2id, and compared so that an unknown name takes as long as a known one.
"""

from __future__ import annotations

import threading
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from activity_audit.report.access.permissions import ROLES, User, user_of

_FREE_FAILURES = 3
_LONGEST_WAIT = 300.0
_MOST_NAMES = 10_000
SHORTEST = 12


class UsersFileError(ValueError):
    """The users' file cannot be used; the message says what, where, and what to do."""


class TooManyFailuresError(RuntimeError):
    """This name failed too often; the message says how long to wait."""


@dataclass(frozen=True)
class _Entry:
    password: str
    user: User


@dataclass
class _Failures:
    count: int
    until: float


class Users:
    """The users of a file, and how often each name failed to sign in."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[str, _Failures] = {}
        self._stamp: tuple[int, int, int] | None = None
        self._entries: dict[str, _Entry] = {}
        self._read()

    def find(self, name: str) -> User | None:
        """The user of this name as the file has it now."""
        entry = self._read().get(name)
        return entry.user if entry else None

    def sign_in(self, name: str, password: str) -> User | None:
        """The user, if this is their password; after a few failures a name must wait, longer each time.

        Raises:
            TooManyFailuresError: if it still must.
        """
        entry = self._read().get(name)
        self._count(name)
        if matches(password, entry.password if entry else None) and entry:
            with self._lock:
                self._failures.pop(name, None)
            return entry.user
        return None

    def _count(self, name: str) -> None:
        """Take an attempt for a failure until it succeeds, so that many at once get no further than one by one."""
        now = self._clock()
        with self._lock:
            failed = self._failures.pop(name, None) or _Failures(0, 0.0)
            self._failures[name] = failed
            if failed.until > now:
                raise TooManyFailuresError(f"too many failed attempts; try again in {failed.until - now:.0f} seconds")
            failed.count += 1
            over = failed.count - _FREE_FAILURES
            failed.until = now + (min(2.0 ** min(over, 10), _LONGEST_WAIT) if over >= 0 else 0.0)
            # Names that nobody has must not fill the memory.
            if len(self._failures) > _MOST_NAMES:
                self._failures.pop(next(iter(self._failures)))

    def _read(self) -> dict[str, _Entry]:
        try:
            status = self._path.stat()
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
            with self._lock:
                if stamp == self._stamp:
                    return self._entries
            entries = _entries(self._path, tomllib.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsersFileError(
                f"the users' file {self._path} cannot be read: {error}; correct or restore it"
            ) from error
        with self._lock:
            self._stamp, self._entries = stamp, entries
        return entries


def _entries(path: Path, document: dict[str, Any]) -> dict[str, _Entry]:
    users = document.get("users")
    if not isinstance(users, dict) or not users:
        raise UsersFileError(f"the users' file {path} has no table [users.NAME]; `audit password NAME` prints one")
    return {name: _entry(path, name, entry) for name, entry in users.items()}


def _entry(path: Path, name: str, entry: Any) -> _Entry:
    where = f"the users' file {path}, [users.{name!r}]"
    if not isinstance(entry, dict) or not str(entry.get("password", "")).startswith("$argon2"):
        raise UsersFileError(f"{where}: password must be a hash; `audit password` prints it")
    roles = entry.get("roles", [])
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise UsersFileError(f"{where}: roles must be a list of {', '.join(ROLES)}")
    if unknown := [role for role in roles if role not in ROLES]:
        raise UsersFileError(f"{where}: there is no role {', '.join(unknown)}; the roles are {', '.join(ROLES)}")
    return _Entry(entry["password"], user_of(name, roles))


def hashed(password: str) -> str:
    """The hash that the users' file keeps.

    Raises:
        ValueError: if the password is too short.
    """
    from argon2 import PasswordHasher

    if len(password) < SHORTEST:
        raise ValueError(f"a password must have at least {SHORTEST} characters")
    return PasswordHasher().hash(password)


def prepare() -> None:
    """Have ready what a name that is not there is compared with, so that the first one takes no longer."""
    _nobody()


def matches(password: str, known: str | None) -> bool:
    """Whether the password is the one that was hashed; without a hash the time is spent all the same."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    known_or_not = known or _nobody()
    try:
        return PasswordHasher().verify(known_or_not, password) and known is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    import secrets

    return hashed(secrets.token_urlsafe(32))
