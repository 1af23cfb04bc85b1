"""Passwords: hashed with Argon2id, compared so that a name that is not there takes as long as one that is."""

from __future__ import annotations

from functools import cache

SHORTEST = 12


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
