"""Carries requests to the Unix socket on which Dagster's pages are served, and the answers back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from activity_audit.report.dagster_door import GRAPHQL, MAY_LAUNCH
from activity_audit.report.dagster_door.operations import BadOperationError, changes

# Nothing else of a request reaches Dagster, its cookies least of all.
_FROM_READER = ("accept", "accept-encoding", "accept-language", "if-none-match", "if-modified-since")
_TO_READER = (
    "content-type", "content-encoding", "content-length", "content-disposition", "content-security-policy",
    "cache-control", "etag", "last-modified", "location", "referrer-policy",
)  # fmt: skip
_HOST = "http://dagster"
# Some of Dagster's questions take long on a long history, in seconds.
_PATIENCE = {"timeout": httpx.Timeout(300.0, connect=5.0).as_dict()}
_AT_ONCE = httpx.Limits(max_connections=100)
# The protocol of Dagster's pages, and what a message of it begins an operation with.
_PROTOCOL = Subprotocol("graphql-ws")
_START = "start"
_REFUSED = 1008
_AWAY = 1013
# How often it is asked whether the user may still look, in seconds.
_LOOK_EVERY = 5.0


class DagsterAwayError(RuntimeError):
    """Dagster's server does not answer: it is starting, or has ended."""


class Forward:
    """The way to the socket."""

    def __init__(self, socket: Path) -> None:
        # No client, which would keep cookies, and send one reader's to all others.
        self._transport = httpx.AsyncHTTPTransport(uds=str(socket), limits=_AT_ONCE)

    async def __call__(self, request: Request, query: str, body: bytes | None, *, may_launch: bool) -> Response:
        """Dagster's answer, as it comes.

        Raises:
            DagsterAwayError: if there is none.
        """
        headers = {name: request.headers[name] for name in _FROM_READER if name in request.headers}
        if body is not None:
            headers["content-type"] = "application/json"
        if may_launch:
            headers[MAY_LAUNCH] = "1"
        url = httpx.URL(f"{_HOST}{quote(request.scope['path'], safe='/')}", query=query.encode())
        asked = httpx.Request(request.method, url, headers=headers, content=body, extensions=_PATIENCE)
        try:
            answer = await self._transport.handle_async_request(asked)
        except httpx.TransportError as error:
            raise DagsterAwayError(str(error)) from error
        kept = {name: answer.headers[name] for name in _TO_READER if name in answer.headers}
        if "location" in kept:
            kept["location"] = kept["location"].removeprefix(_HOST)
        if "etag" in kept:
            # Scripts and styles, of which there are megabytes, are asked for again and not sent again.
            kept.setdefault("cache-control", "no-cache")
        return StreamingResponse(_body(answer), answer.status_code, kept)


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            yield part
    finally:
        await answer.aclose()


async def carry(reader: WebSocket, socket: Path, may_look: Callable[[], bool]) -> None:
    """Carry messages both ways until one side ends, or the user may not look any more. Nothing can be changed by it."""
    if _PROTOCOL not in reader.scope.get("subprotocols", []):
        await reader.close(_REFUSED)
        return
    try:
        async with unix_connect(
            str(socket), f"ws://dagster{GRAPHQL}", subprotocols=[_PROTOCOL], max_size=None, compression=None
        ) as dagster:
            await reader.accept(_PROTOCOL)
            code = await _carry(reader, dagster, may_look)
    except (OSError, WebSocketException):
        code = _AWAY
    await _close(reader, code)


async def _carry(reader: WebSocket, dagster: ClientConnection, may_look: Callable[[], bool]) -> int:
    async def up() -> int:
        async for text in reader.iter_text():
            if not _only_looks(text):
                return _REFUSED
            await dagster.send(text)
        return 1000

    async def down() -> int:
        async for text in dagster:
            await reader.send_text(text if isinstance(text, str) else text.decode())
        return 1000

    async def watch() -> int:
        while await asyncio.to_thread(may_look):
            await asyncio.sleep(_LOOK_EVERY)
        return _REFUSED

    tasks = [asyncio.create_task(part()) for part in (up, down, watch)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    except WebSocketDisconnect:
        return 1000
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _only_looks(text: str) -> bool:
    try:
        message: Any = json.loads(text)
        if not isinstance(message, dict):
            return False
        return message.get("type") != _START or not changes(message["payload"]["query"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BadOperationError):
        return False


async def _close(reader: WebSocket, code: int) -> None:
    try:
        await reader.close(code)
    except (RuntimeError, WebSocketDisconnect):
        # The reader has gone before.
        return
