"""What a user may do, and the decorators by which each route says what it takes.

A request that changes something carries the token of its session, which shows that the reader meant it (CSRF).
"""

from __future__ import annotations

import hmac
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

VIEW = "view"
EXPORT = "export"
QUARANTINE = "quarantine"
EDIT = "edit"
RUNS = "runs"
LAUNCH = "launch"
PERMISSIONS = (VIEW, EXPORT, QUARANTINE, EDIT, RUNS, LAUNCH)
# Names for what people usually have together; a permission's own name is a role as well.
ROLES = {
    "viewer": (VIEW,),
    "analyst": (VIEW, EXPORT, EDIT),
    "auditor": (VIEW, EXPORT, QUARANTINE),
    # Dagster's pages show samples of raw records, so who looks there must be one who may see those.
    "operator": (VIEW, QUARANTINE, RUNS, LAUNCH),
    "admin": PERMISSIONS,
    # They see one word in place of who did what to whom (activity_audit/warehouse/events/masked.py).
    "masked-viewer": (VIEW,),
    "masked-analyst": (VIEW, EXPORT, EDIT),
} | {permission: (permission,) for permission in PERMISSIONS}

_MASKED = frozenset(["masked-viewer", "masked-analyst"])
# With any of these one sees events, or raw records, as they are.
_PLAIN = frozenset([VIEW, QUARANTINE, RUNS])

# Who opened the link that is printed.
LOCAL_USER = "local"
Endpoint = Callable[[Request], Response | Awaitable[Response]]
FIELD = "csrf"
HEADER = "X-CSRF-Token"
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class User:
    """Who reads the report: the name that its audit trail has, what they may do, and whether fields are masked.

    `roles` are all that they were given, in lower case, also those of a provider that say nothing here.
    """

    name: str
    permissions: frozenset[str]
    is_masked: bool = False
    roles: frozenset[str] = frozenset()

    def may(self, permission: str) -> bool:
        """Whether they have the permission."""
        return permission in self.permissions


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """The permissions of roles; a role that is not known gives none, because a provider has others besides ours."""
    return frozenset(permission for role in roles for permission in ROLES.get(role.strip().lower(), ()))


def user_of(name: str, roles: Iterable[str]) -> User:
    """The user of this name with these roles. Roles add up: of one that masks and one that does not, nothing is masked.

    So who is masked has neither the quarantine nor runs, where raw records are.
    """
    named = {role.strip().lower() for role in roles} - {""}
    is_masked = bool(named & _MASKED) and not permissions_of(named - _MASKED) & _PLAIN
    return User(name, permissions_of(named), is_masked, frozenset(named))


class NotSignedInError(HTTPException):
    """The request comes with no session: a page leads to the sign-in, anything else is told 401."""

    def __init__(self) -> None:
        super().__init__(401, "you are not signed in, or your session has ended; sign in again")


def requires(permission: str) -> Callable[[Endpoint], Callable[[Request], Awaitable[Response]]]:
    """An endpoint for users with this permission. It may be a plain function, which then runs in a thread.

    Without a user it raises NotSignedInError, without the permission HTTPException 403; a request that may change
    something must have the session's CSRF token.
    """
    if permission not in PERMISSIONS:
        raise ValueError(f"there is no permission {permission!r}")

    def check(request: Request) -> None:
        user: User | None = request.state.user
        if user is None:
            raise NotSignedInError
        if not user.may(permission):
            raise HTTPException(
                403, f"you are signed in as {user.name}, who does not have the permission “{permission}”"
            )

    return _guarded(check, permission)


def public(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for everybody: signing in, and what a load balancer asks. CSRF tokens are checked here too."""
    return _guarded(lambda _: None, None)(endpoint)


def _guarded(check: Callable[[Request], None], permission: str | None) -> Callable[[Endpoint], Any]:
    def decorate(endpoint: Endpoint) -> Any:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            check(request)
            await check_csrf(request)
            if inspect.iscoroutinefunction(endpoint):
                return await endpoint(request)
            return await run_in_threadpool(endpoint, request)  # type: ignore[arg-type]

        guarded.guard = (permission,)  # type: ignore[attr-defined]
        return guarded

    return decorate


class ForeignFormError(HTTPException):
    """A request that may change something has not the session's token: 403."""

    def __init__(self) -> None:
        super().__init__(403, "it comes from another site, or from a page that was opened before you signed in")


async def check_csrf(request: Request) -> None:
    """Refuse a request that may change something and has not the session's token, as header or form field.

    Raises:
        ForeignFormError: if it has not.
    """
    if request.method in _SAFE:
        return
    sent = request.headers.get(HEADER)
    # How long a form may be, and that it is one, was looked at before.
    if sent is None:
        field = (await request.form()).get(FIELD)
        sent = field if isinstance(field, str) else None
    known: str = request.state.csrf
    if not known or sent is None or not hmac.compare_digest(sent.encode(), known.encode()):
        raise ForeignFormError
