"""The report's server: uvicorn, where it listens, what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from activity_audit.base import json_log
from activity_audit.settings.core import Settings, SettingsError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from activity_audit.report.access.access import Access
    from activity_audit.report.web.app import DagsterAt

# How long requests that are under way may go on when the server stops, in seconds.
_PATIENCE = 5
# How often sessions that nobody comes back to are ended, in seconds.
_SWEEP_EVERY = 30.0


class PortTakenError(RuntimeError):
    """The address cannot be listened on; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Served:
    """A report that is being served: the URL that readers open first, and the one that all others begin with."""

    url: str
    base: str


def check(settings: Settings, host: str) -> None:
    """Refuse what cannot be served safely.

    Raises:
        SettingsError: naming what to set.
    """
    report = settings.report
    missing = report.missing()
    if not _is_loopback(host):
        if report.auth == "token":
            missing.append(
                f"--host {host} lets other machines in: set AUDIT_REPORT_AUTH to users, oidc or proxy, so that "
                "the report knows who reads (docs/report.md)"
            )
        if not report.url:
            missing.append(
                f"--host {host} lets other machines in: set AUDIT_REPORT_URL to the https:// URL that they "
                "open, and have a reverse proxy forward it to this server"
            )
    if missing:
        raise SettingsError("\n".join(missing))


def serve(
    settings: Settings,
    host: str,
    port: int,
    on_ready: Callable[[Served], None],
    dagster: DagsterAt | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Serve the report until SIGINT, SIGTERM, or `stop` says so; `on_ready` is called when it listens.

    Raises:
        SettingsError: if it would not be safe, or a setting is missing.
        PortTakenError: if the port cannot be had.
        UsersFileError: if there is a users' file that cannot be used.
    """
    import uvicorn

    from activity_audit.report.access.access import Access
    from activity_audit.report.queries.warehouse import Warehouse
    from activity_audit.report.web.app import build_app
    from activity_audit.report.web.running import announced

    check(settings, host)
    with _listen(host, port) as listening:
        taken = listening.getsockname()[1]
        named = f"[{host}]" if ":" in host else host
        base = settings.report.url or f"http://{named}:{taken}"
        access = Access(settings.report, base)
        warehouse = Warehouse(settings)
        app = build_app(settings, warehouse, access, dagster)
        server = uvicorn.Server(configuration(app, with_dagster=dagster is not None))
        try:
            with _signals_end_here(), announced(settings, access):
                ready = partial(_say, on_ready, access)
                asyncio.run(_run(server, listening, ready, stop, access.sessions.sweep))
        finally:
            app.state.exports.close()
            warehouse.close()


def configuration(app: ASGIApp, *, with_dagster: bool) -> uvicorn.Config:
    """How uvicorn serves the report."""
    import uvicorn

    from activity_audit.report.web.connection import LONGEST_HEAD, Connection

    # What a proxy says of a reader's address is not believed: who asks is decided by the connection itself. The log of
    # requests would have the link's token in it.
    return uvicorn.Config(
        app,
        http=Connection,
        # The report itself has no web sockets.
        ws="auto" if with_dagster else "none",
        h11_max_incomplete_event_size=LONGEST_HEAD,
        access_log=False,
        log_level="warning",
        log_config=None if json_log.is_on() else uvicorn.config.LOGGING_CONFIG,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE,
    )


async def _run(
    server: uvicorn.Server,
    listening: socket.socket,
    on_ready: Callable[[], None],
    stop: Callable[[], bool],
    sweep: Callable[[], None],
) -> None:
    async def watch() -> None:
        while not server.started and not server.should_exit:
            await asyncio.sleep(0.02)
        try:
            on_ready()
            swept = time.monotonic()
            while not server.should_exit and not stop():
                await asyncio.sleep(0.2)
                if time.monotonic() - swept > _SWEEP_EVERY:
                    await asyncio.to_thread(sweep)
                    swept = time.monotonic()
        finally:
            server.should_exit = True

    watching = asyncio.create_task(watch())
    try:
        await server.serve(sockets=[listening])
    finally:
        server.should_exit = True
        # What ended the watching ends the server, and is raised here.
        await watching


@contextmanager
def _signals_end_here() -> Iterator[None]:
    """uvicorn sends itself the signals again by which it was stopped; they must not end the process in between."""
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(on_ready: Callable[[Served], None], access: Access) -> None:
    by_link = access.mode == "token"
    first = f"{access.base_url}/open?token={access.tokens.give()}" if by_link else access.base_url
    on_ready(Served(first, access.base_url))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        raise PortTakenError(
            f"the report cannot listen on {host}:{port}: {error.strerror or error}; choose another port, or 0 for a "
            "free one: --port of `audit report`, --report-port of `audit serve`"
        ) from None
    return listening


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
