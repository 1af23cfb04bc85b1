"""Carries requests to the Unix socket on which Dagster's pages are served, and the answers back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from activity_audit.report.dagster_door import MAY_LAUNCH

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
