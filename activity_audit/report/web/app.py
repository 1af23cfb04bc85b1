"""The report as one ASGI application: routes, who asks, and what every answer says to the browser."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from activity_audit.metrics.exposition import Watched
from activity_audit.report.access.access import Access
from activity_audit.report.access.headers import KnownHosts, SecurityHeaders
from activity_audit.report.access.permissions import QUARANTINE, RUNS, VIEW, NotSignedInError
from activity_audit.report.access.users import UsersFileError
from activity_audit.report.dagster_door import PATH as DAGSTER
from activity_audit.report.trail import Trail, TrailError
from activity_audit.report.web.data_docs import PATH
from activity_audit.report.web.pages.newest import PATH as NEWEST
from activity_audit.report.web.request_limits import Bounds
from activity_audit.report.web.sign_in import LIVE, READY
from activity_audit.settings.core import Settings
from expectations.docs_site import REVIEW

if TYPE_CHECKING:
    from activity_audit.report.queries.warehouse import Warehouse
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DagsterAt:
    """Dagster's pages: the Unix socket on which they are served, and whether nobody may change anything there."""

    socket: Path
    read_only: bool


class ReportApp(Starlette):
    """Starlette with the headers and the check of the host around everything, the answer to a failure too."""

    access: Access

    def build_middleware_stack(self) -> ASGIApp:
        """See Starlette."""
        inside = WhoAsks(super().build_middleware_stack(), access=self.access)
        hosts = known_hosts(self.access.base_url)
        # A load balancer asks a server by its address.
        known = KnownHosts(inside, hosts=hosts, anywhere=["/alive", LIVE, READY])
        return SecurityHeaders(Bounds(known), https=self.access.https)


class WhoAsks:
    """Middleware: `request.state` has the `session`, the `user` (None if not signed in) and the `csrf` token."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        session = self._access.session(connection, is_seen=scope["path"] != NEWEST)
        state = scope.setdefault("state", {})
        state["session"] = session
        state["csrf"] = self._access.csrf(connection, session)
        try:
            state["user"] = self._access.user(session)
        except UsersFileError as error:
            _log.error("%s", error)
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1011})
                return
            await PlainTextResponse("The report's users cannot be read; its log has the reason.", 503)(
                scope, receive, send
            )
            return
        await self._app(scope, receive, send)


def build_app(settings: Settings, warehouse: Warehouse, access: Access, dagster: DagsterAt | None = None) -> Starlette:
    """The application. Its `state` has the settings, the warehouse, the access, the trail, exports and named reports,
    and how many answers each user waits for.

    `dagster` is where Dagster's pages are, if they are served with the report.
    """
    from activity_audit.report.export.jobs import ExportJobs
    from activity_audit.report.saved.book import SavedReports
    from activity_audit.report.saved.reports import SavedReportError
    from activity_audit.report.web import data_docs, sign_in
    from activity_audit.report.web.pages import deliveries, export, questions, saved
    from activity_audit.report.web.pages.messages import exception_handlers
    from activity_audit.report.web.pages.routes import routes

    trail = Trail(settings.own_feeds_dir)
    doors: list[BaseRoute] = []
    if dagster:
        from activity_audit.report.dagster_door.door import Door

        doors = [Mount(DAGSTER, Door(dagster.socket, access, trail, read_only=dagster.read_only))]
    app = ReportApp(
        routes=[
            *sign_in.routes(),
            *export.routes(),
            *saved.routes(),
            *deliveries.routes(),
            *questions.routes(),
            *data_docs.routes(),
            *routes(),
            *doors,
        ],
        exception_handlers={
            **exception_handlers(),
            NotSignedInError: _not_signed_in,
            TrailError: _not_on_record,
            SavedReportError: _not_saved,
        },
    )
    app.access = access
    app.state.settings = settings
    app.state.warehouse = warehouse
    app.state.under_way = Counter()
    app.state.access = access
    app.state.links = partial(links, settings, bool(dagster))
    app.state.trail = trail
    app.state.watched = Watched(settings)
    app.state.reviewing = threading.Lock()
    app.state.saved = SavedReports(settings.saved_file)
    app.state.exports = ExportJobs(warehouse, settings.report_dir / "exports", settings.report.export_space)
    access.sessions.on_end = app.state.exports.end_session
    return app


def known_hosts(base_url: str) -> set[str]:
    """The `Host` headers that the report answers to: that of its URL, and on loopback every name of this machine."""
    parts = urlsplit(base_url)
    hosts = {parts.netloc}
    if parts.hostname in ("127.0.0.1", "localhost", "::1"):
        port = f":{parts.port}" if parts.port else ""
        hosts |= {f"127.0.0.1{port}", f"localhost{port}", f"[::1]{port}"}
    return hosts


async def _not_signed_in(request: Request, error: Exception) -> Response:
    """Who opens a page without a session signs in first, and then gets it."""
    from activity_audit.report.web.pages.messages import message

    access: Access = request.app.state.access
    is_page = request.method == "GET" and "application/json" not in request.headers.get("accept", "")
    if is_page and access.mode in ("users", "oidc"):
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?{urlencode({'next': wanted})}", 303)
    what_to_do = {
        "token": "Stop “audit report” or “audit serve”, start it again, and open the link that it prints.",
        "proxy": "Open the report through the proxy that signs you in.",
    }.get(access.mode, "Sign in, and open the page again.")
    return message(request, 401, "You are not signed in", "The session has ended, or there was none.", what_to_do)


async def _not_on_record(request: Request, error: Exception) -> Response:
    from activity_audit.report.web.pages.messages import message

    _log.error("%s", error)
    why = "Reading the report is audited. Your request could not be recorded, so the page is not shown."
    return message(
        request,
        503,
        "This request cannot be recorded",
        why,
        "Tell the person who runs the report; its log has the reason.",
    )


async def _not_saved(request: Request, error: Exception) -> Response:
    from activity_audit.report.web.pages.messages import message

    why = f"{str(error)[:1].upper()}{str(error)[1:]}."
    return message(
        request, 409, "Saved reports are not available", why, "Try again, or tell the person who runs the report."
    )


@dataclass(frozen=True)
class Link:
    """A title, where it leads, and the permission that one needs there."""

    title: str
    url: str
    permission: str = VIEW


def links(settings: Settings, with_dagster: bool) -> list[Link]:
    """The links of a page, now; Dagster's is there where it is known, the auditor's page once it was written."""
    elsewhere = settings.report.dagster_url
    return [
        *([Link("Runs", elsewhere)] if elsewhere else [Link("Runs", f"{DAGSTER}/", RUNS)] if with_dagster else []),
        Link("Data docs", f"{PATH}/index.html", QUARANTINE),
        *([Link("Auditor's page", f"{PATH}/{REVIEW}", QUARANTINE)] if settings.review_file.exists() else []),
    ]
