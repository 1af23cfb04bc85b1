"""Saving, sharing and deleting named reports. Each leads back to the list of them."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from report.access.permissions import EDIT, requires
from report.saved import SavedReport, SavedReportError, SavedReports
from report.web.urls import parse, view_of


def routes() -> list[BaseRoute]:
    """What changes named reports; the list is a page."""
    return [
        Route("/saved", save, methods=["POST"]),
        Route("/saved/{id}/share", share, methods=["POST"]),
        Route("/saved/{id}/unshare", unshare, methods=["POST"]),
        Route("/saved/{id}/delete", delete, methods=["POST"]),
    ]


@requires(EDIT)
async def save(request: Request) -> Response:
    """Save the form's `query`, which is that of a URL of the report, under its `name`; `shared` if it says so.

    `view` names how it is shown, the table if the form does not say.
    """
    form = await request.form()
    name, query = str(form.get("name", "")), str(form.get("query", ""))
    # What cannot be opened again is not saved.
    parse(parse_qsl(query.removeprefix("?"), keep_blank_values=True))
    view, shared = view_of(form), bool(form.get("shared"))
    return await _changed(request, "Saved", lambda saved, user: saved.save(name, user, query, shared=shared, view=view))


@requires(EDIT)
async def share(request: Request) -> Response:
    """Share one's own."""
    return await _changed(request, "Shared", lambda saved, user: saved.share(request.path_params["id"], user, True))


@requires(EDIT)
async def unshare(request: Request) -> Response:
    """Keep one's own to oneself again."""
    return await _changed(request, "Unshared", lambda saved, user: saved.share(request.path_params["id"], user, False))


@requires(EDIT)
async def delete(request: Request) -> Response:
    """Delete one's own."""
    return await _changed(request, "Deleted", lambda saved, user: saved.delete(request.path_params["id"], user))


async def _changed(request: Request, activity: str, change: Callable[[SavedReports, str], SavedReport]) -> Response:
    state, user = request.app.state, request.state.user

    def work() -> SavedReport:
        saved = change(state.saved, user.name)
        state.trail.changed_saved(user, activity, saved.id, f"{saved.name}{', shared' if saved.shared else ''}")
        return saved

    try:
        saved = await run_in_threadpool(work)
    except SavedReportError as error:
        raise HTTPException(409, str(error)) from None
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse(
            {"id": saved.id, "name": saved.name, "shared": saved.shared, "view": saved.view, "query": saved.query}
        )
    return RedirectResponse("/saved", 303)
