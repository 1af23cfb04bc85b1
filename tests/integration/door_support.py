"""What the tests of the door to Dagster's pages share: the report with its door, and what it leads to.

Instead of Dagster, which takes a quarter of a minute to start, there is a server at the same kind of socket that keeps
what reaches it; `test_serve` has the real one.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from activity_audit.report.access.access import Access
from activity_audit.report.access.users import hashed
from activity_audit.report.queries.warehouse import Warehouse
from activity_audit.report.web.app import DagsterAt, build_app
from activity_audit.report.web.server import configuration
from activity_audit.settings.core import Settings
from tests.integration.report_support import browser, sign_in

PASSWORD = "to the lighthouse"
# The one may launch, the next only look, the others neither.
USERS = {
    "operator": ["operator"],
    "watcher": ["view", "quarantine", "runs"],
    "unseeing": ["view", "runs", "launch"],
    "auditor": ["auditor"],
}
LAUNCH = "mutation Launch($e: ExecutionParams!) { launchRun(executionParams: $e) { __typename } }"
LOOK = "query { version }"


@dataclass
class Door:
    """The report with its door; `reached` is what came through it."""

    base: str
    reached: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, client: httpx.Client, query: str, path: str = "/dagster/graphql", **headers: str) -> httpx.Response:
        """What Dagster's page would send, but for `headers`; an empty one is left out."""
        given = {"Origin": self.base, "Sec_Fetch_Site": "same-origin", **headers}
        sent = {name.replace("_", "-"): value for name, value in given.items() if value}
        return client.post(path, json={"query": query, "variables": {"e": {}}}, headers=sent)


@contextmanager
def serving(config: uvicorn.Config, listening: socket.socket) -> Iterator[None]:
    """The application of the configuration on that socket, in a thread."""
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
        yield
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def door(settings: Settings, *, read_only: bool = False) -> Iterator[Door]:
    """A report with users and a door, until the end of the block."""
    users = settings.home.parent / "door-users.toml"
    known = hashed(PASSWORD)
    users.write_text(
        "\n".join(f"[users.{name}]\npassword = '{known}'\nroles = {roles}" for name, roles in USERS.items())
    )
    report = settings.report.model_copy(update={"auth": "users", "users_file": users})
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.socket(socket.AF_UNIX) as dagster,
        socket.socket() as listening,
    ):
        listening.bind(("127.0.0.1", 0))
        found = Door(f"http://127.0.0.1:{listening.getsockname()[1]}")
        at = Path(folder) / "s"
        dagster.bind(str(at))
        warehouse = Warehouse(settings)
        app = build_app(settings, warehouse, Access(report, found.base), DagsterAt(at, read_only))
        try:
            with (
                serving(uvicorn.Config(_keeps(found), log_level="critical"), dagster),
                serving(configuration(app, with_dagster=True), listening),
            ):
                yield found
        finally:
            app.state.exports.close()
            warehouse.close()


def signed_in(found: Door, name: str) -> httpx.Client:
    """The browser of a user."""
    client = browser(found.base)
    assert sign_in(client, name, PASSWORD).status_code == 303
    return client


def _keeps(found: Door) -> Starlette:
    async def http(request: Request) -> JSONResponse:
        said = {
            "method": request.method,
            "path": request.scope["path"],
            "query": request.url.query,
            "headers": dict(request.headers),
            "body": (await request.body()).decode(),
        }
        found.reached.append(said)
        return JSONResponse(said, headers={"Content-Security-Policy": "base-uri 'none';", "Set-Cookie": "a=b"})

    async def live(websocket: WebSocket) -> None:
        await websocket.accept("graphql-ws")
        found.reached.append({"path": websocket.scope["path"], "headers": dict(websocket.headers)})
        async for text in websocket.iter_text():
            found.reached.append({"text": text})
            await websocket.send_text(f"heard {text}")

    methods = ["GET", "POST", "PUT", "DELETE", "PATCH"]
    return Starlette(routes=[WebSocketRoute("/{path:path}", live), Route("/{path:path}", http, methods=methods)])
