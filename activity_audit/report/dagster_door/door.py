"""The door to Dagster's pages: who may look, who may launch, and that a page of ours asked for it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from activity_audit.report.access.access import Access
from activity_audit.report.access.permissions import LAUNCH, QUARANTINE, RUNS, NotSignedInError, User
from activity_audit.report.access.users import UsersFileError
from activity_audit.report.dagster_door import GRAPHQL
from activity_audit.report.dagster_door.operations import BadOperationError, Operation, read
from activity_audit.report.dagster_door.proxy import DagsterAwayError, Forward, carry
from activity_audit.report.trail import Trail

# A backfill may name each of its partitions: so many bytes, within so many seconds.
_LONGEST_BODY = 8_000_000
_BODY_SECONDS = 30.0
# Dagster's pages show samples of raw records.
_TO_LOOK = (RUNS, QUARANTINE)
_SEEN = "dagster seen"


class Door:
    """An ASGI application below PATH; the middleware around it has said who asks."""

    def __init__(self, socket: Path, access: Access, trail: Trail, *, read_only: bool) -> None:
        self._socket = socket
        self._access = access
        self._trail = trail
        self._read_only = read_only
        self._forward = Forward(socket)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._live(WebSocket(scope, receive, send))
            return
        request = Request(scope, receive)
        answer = await self._answer(request)

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                _never_in_a_frame(message)
            await send(message)

        await answer(scope, receive, with_policy)

    async def _answer(self, request: Request) -> Response:
        user = _who(request)
        _check_source(request)
        path: str = request.scope["path"]
        if any(part in ("..", ".", "") for part in path.strip("/").split("/")):
            raise HTTPException(404)
        query, body = request.url.query, None
        if path == GRAPHQL:
            # Dagster would take an operation from the URL, too; it comes from what we looked at alone.
            query = ""
        if request.method == "POST":
            if path != GRAPHQL:
                raise HTTPException(405)
            try:
                operation = await run_in_threadpool(read, await _body(request))
            except BadOperationError as error:
                return _refusal(400, str(error))
            if operation.changes:
                if refused := self._refused(user, operation):
                    return _refusal(403, refused)
                await run_in_threadpool(self._trail.changed_dagster, user, _said(operation))
            body = operation.as_json()
        await self._on_record(request, user)
        try:
            return await self._forward(request, query, body, may_launch=self._may_launch(user))
        except DagsterAwayError:
            return await _away(request)

    def _may_launch(self, user: User) -> bool:
        return not self._read_only and user.may(LAUNCH)

    def _refused(self, user: User, operation: Operation) -> str | None:
        """Why the user may not do this; None if they may."""
        if self._may_launch(user):
            return None
        why = (
            "“audit serve” runs with --read-only"
            if self._read_only
            else f"you are signed in as {user.name}, who does not have the permission “{LAUNCH}”"
        )
        return f"{', '.join(operation.changes)} was refused: {why}"

    async def _on_record(self, request: Request, user: User) -> None:
        """That Dagster was looked at is put on record once a session."""
        session = request.state.session
        if _SEEN not in session.data:
            await run_in_threadpool(self._trail.viewed_dagster, user)
            session.data[_SEEN] = True

    async def _live(self, socket: WebSocket) -> None:
        session = socket.state.session

        def may_look() -> bool:
            # That a page is open does not keep its session alive.
            if session is None or not self._access.sessions.knows(session):
                return False
            try:
                user = self._access.user(session)
            except UsersFileError:
                return False
            return user is not None and all(map(user.may, _TO_LOOK))

        is_ours = socket.headers.get("origin") == _origin(socket)
        if not is_ours or socket.scope["path"] != GRAPHQL or not may_look():
            await socket.close(1008)
            return
        await carry(socket, self._socket, may_look)


def _who(request: Request) -> User:
    user: User | None = request.state.user
    if user is None:
        raise NotSignedInError
    if missing := [permission for permission in _TO_LOOK if not user.may(permission)]:
        raise HTTPException(403, f"you are signed in as {user.name}, who does not have the permission “{missing[0]}”")
    return user


def _check_source(request: Request) -> None:
    """Refuse what a page of another origin asks for; it may lead here, and no more.

    Dagster's pages send no token of ours, so the browser's own word decides; one request in two has both headers.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if origin is not None and origin != _origin(request):
        raise HTTPException(403, "a page of another origin asked for it")
    if request.method in ("GET", "HEAD"):
        is_visit = request.headers.get("sec-fetch-mode") == "navigate" and (
            request.headers.get("sec-fetch-dest") == "document"
        )
        if site not in (None, "same-origin", "none") and not is_visit:
            raise HTTPException(403, "a page of another origin asked for it")
    elif request.method != "POST":
        raise HTTPException(405)
    elif site not in (None, "same-origin") or (site is None and origin is None):
        raise HTTPException(403, "it must be asked for by a page of Dagster's, or say so in its header Origin")


def _origin(connection: HTTPConnection) -> str:
    """The origin of the report, by the name under which this request came; the middleware knows that name."""
    scheme = "https" if connection.app.state.access.https else "http"
    return f"{scheme}://{connection.headers.get('host', '').lower()}"


async def _body(request: Request) -> bytes:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise HTTPException(415, "Dagster is asked in JSON")
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > _LONGEST_BODY:
                    raise HTTPException(413, "the request is too long")
    except TimeoutError:
        raise HTTPException(408, f"the request did not come within {_BODY_SECONDS:.0f} seconds") from None
    return bytes(body)


def _said(operation: Operation) -> str:
    return f"{', '.join(operation.changes)} {json.dumps(operation.variables or {}, sort_keys=True)}"


def _refusal(status: int, why: str) -> Response:
    """As Dagster's pages show it."""
    return JSONResponse({"data": None, "errors": [{"message": why}]}, status)


async def _away(request: Request) -> Response:
    from activity_audit.report.web.pages.messages import message

    answer = message(
        request, 503, "Dagster does not answer", "It is starting, or has ended.", "This page looks again by itself."
    )
    answer.headers["Refresh"] = "3"
    return answer


def _never_in_a_frame(message: Message) -> None:
    """Keep Dagster's own policy, and let no page show it in a frame."""
    from starlette.datastructures import MutableHeaders

    headers = MutableHeaders(scope=message)
    own = headers.get("content-security-policy", "").strip().rstrip(";")
    headers["content-security-policy"] = "; ".join([*([own] if own else []), "frame-ancestors 'none'"])
    headers["x-frame-options"] = "DENY"
