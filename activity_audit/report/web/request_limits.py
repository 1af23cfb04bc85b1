"""Limits on the size and the duration of a request, applied before the user is identified.

What is longer is refused with a sentence that names the limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activity_audit.report.dagster_door import GRAPHQL

# The address that signs somebody in has the address of the page that they want in it, which makes that longer.
LONGEST_URL = 32_000
MOST_VALUES = 500
LONGEST_HEADERS = 32_000
MOST_HEADERS = 100
LONGEST_FORM = 64_000
FORM_SECONDS = 15.0
FORM = "application/x-www-form-urlencoded"
# What is sent after a refusal is read away for a while: a connection closed before is an error to who still sends.
_LINGER_SECONDS, _LINGER_BYTES = 5.0, 16_000_000


class RefusedError(Exception):
    """A request is longer than it may be; `status` is that of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Bounds:
    """Middleware: refuses what is too long. A form is read whole, in its time, before anything else is done."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            _check_head(scope)
            # What is sent to Dagster its door bounds, once it knows who sends it.
            form = None if scope["path"] == GRAPHQL else await _form(headers, receive)
        except RefusedError as error:
            await _refuse(headers, error, scope, receive, send)
            return
        await self._app(scope, receive if form is None else _again(form, receive), send)


def _check_head(scope: Scope) -> None:
    """Raises RefusedError if the address or the headers are too long."""
    query: bytes = scope["query_string"]
    length = len(scope.get("raw_path") or b"") + len(query)
    if length > LONGEST_URL:
        raise RefusedError(414, f"The address has {length:,} characters; the report reads {LONGEST_URL:,} at most.")
    values = query.count(b"&") + 1
    if values > MOST_VALUES:
        raise RefusedError(
            414, f"The address has {values:,} values; the report takes {MOST_VALUES} at most. Choose fewer."
        )
    headers = scope["headers"]
    length = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MOST_HEADERS or length > LONGEST_HEADERS:
        raise RefusedError(
            431, f"The request has too many headers; the report reads {MOST_HEADERS} of {LONGEST_HEADERS:,} characters."
        )


async def _form(headers: Headers, receive: Receive) -> bytes | None:
    """The form that the request sends, None if it sends nothing."""
    if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
        return None
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM or "content-encoding" in headers:
        raise RefusedError(415, f"The report takes forms only, sent as {FORM} and not compressed.")
    too_long = RefusedError(413, f"The form is too long; the report reads {LONGEST_FORM:,} bytes at most.")
    said = headers.get("content-length", "0")
    if not said.isdecimal() or int(said) > LONGEST_FORM:
        raise too_long
    form = bytearray()
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for piece in _pieces(receive):
                form += piece
                if len(form) > LONGEST_FORM:
                    raise too_long
    except TimeoutError:
        raise RefusedError(408, f"The form did not come within {FORM_SECONDS:.0f} seconds.") from None
    # Each of a form's fields is a piece of work, however small it is.
    if form.count(b"&") >= MOST_VALUES:
        raise too_long
    return bytes(form)


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message.get("more_body", False)
        yield message.get("body", b"")


def _again(form: bytes, receive: Receive) -> Receive:
    """What hands on the form that was read, and then what comes after it."""
    waiting: list[Message] = [{"type": "http.request", "body": form, "more_body": False}]

    async def received() -> Message:
        return waiting.pop() if waiting else await receive()

    return received


async def _refuse(headers: Headers, error: RefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    answer: Response
    if "application/json" in headers.get("accept", ""):
        said = {"title": "This is too long", "why": str(error), "what_to_do": "Send less."}
        answer = JSONResponse(said, error.status)
    else:
        answer = PlainTextResponse(f"{error}\n", error.status)
    # Nothing more is read from this connection.
    answer.headers["connection"] = "close"

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            await _linger(receive)
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    await answer(scope, receive, sent)


async def _linger(receive: Receive) -> None:
    read = 0
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            async for piece in _pieces(receive):
                read += len(piece)
                if read > _LINGER_BYTES:
                    return
    except TimeoutError:
        return
