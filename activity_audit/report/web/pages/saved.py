"""Saved reports: the list, the form that saves a view, and saving, sharing and deleting them."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from activity_audit.base.hours import now_utc
from activity_audit.report.access.permissions import EDIT, VIEW, requires
from activity_audit.report.queries.lists import Application, applications
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.saved import (
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    SameNameError,
    SavedReport,
    SavedReportError,
    SavedReports,
    example,
)
from activity_audit.report.web.pages.layout import chips, prompt_text
from activity_audit.report.web.pages.query_threads import ask, moment_of, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import BadLinkError, State, parse
from activity_audit.report.web.views import VIEWS, view_of
from activity_audit.warehouse.events.masked import FIELDS as MASKED


@requires(VIEW)
async def page(request: Request) -> Response:
    """The list; with the parameters of a view, the form to save it too."""
    state = state_of(request, ("view",)) if request.query_params else None
    view = view_of(request.query_params)
    filters = state.filters(await moment_of(request, state)) if state else None
    user = request.state.user

    def work(query: Query) -> tuple[State | None, list[SavedReport], list[Application]]:
        named = state.named(query.labels.of) if state else None
        theirs = [one for one in request.app.state.saved.visible_to(user.name) if not user.is_masked or _is_open(one)]
        return named, [example(query, now_utc()), *theirs], applications(query)

    state, reports, known = await ask(request, work)
    return render(
        request,
        "saved.html",
        reports=reports,
        state=state,
        view=view,
        views=VIEWS,
        query=urlsplit(state.url()).query if state else "",
        about=prompt_text(state, filters, known) if state and filters else "",
        chips=chips(state, VIEWS[view]) if state else [],
        longest=LONGEST_NAME,
        longest_description=LONGEST_DESCRIPTION,
        deleted=request.app.state.saved.deleted(user.name) if user.may(EDIT) else [],
    )


def routes() -> list[BaseRoute]:
    """What changes named reports; the list is a page."""
    return [
        Route("/saved", save, methods=["POST"]),
        Route("/saved/{id}/share", share, methods=["POST"]),
        Route("/saved/{id}/unshare", unshare, methods=["POST"]),
        Route("/saved/{id}/delete", delete, methods=["POST"]),
        Route("/saved/{id}/restore", restore, methods=["POST"]),
    ]


@requires(EDIT)
async def save(request: Request) -> Response:
    """Save the form's `query`, which is that of a URL of the report, under its `name`.

    `view` names how it is shown, the table if the form does not say. `shared` is 1 or 0; without it nothing changes
    about that. `people` has the names of those whom it is shared with, with commas. `replace` has the id of one's own
    report of the name, if there is one, and `seen` when that was saved, so that nothing newer is replaced.
    """
    form = await request.form()
    name, query = str(form.get("name", "")), str(form.get("query", ""))
    # What cannot be opened again is not saved.
    parse(parse_qsl(query.removeprefix("?"), keep_blank_values=True))
    view, said = view_of(form), form.get("shared")
    shared = None if said is None else said == "1"
    replaced = str(form.get("replace", ""))

    description, people = form.get("description"), form.get("people")

    def change(saved: SavedReports, user: str) -> SavedReport:
        return saved.save(
            name,
            user,
            query,
            shared=shared,
            view=view,
            replace_id=replaced,
            description=None if description is None else str(description),
            people=None if people is None else re.split(r"[,\n]", str(people)),
            seen=str(form.get("seen", "")),
        )

    try:
        return await _changed(request, "Saved", change)
    except SameNameError as error:
        if _is_json(request):
            raise HTTPException(409, f"{error}, with its id as `replace`: {error.report.id}") from None
        wanted = {"name": name, "query": query, "view": view, "replace": error.report.id, "seen": error.report.saved_at}
        wanted |= {key: str(form[key]) for key in ("description", "people") if form.get(key)}
        shared = error.report.shared or bool(shared)
        return render(request, "saved_replace.html", 409, old=error.report, wanted=wanted, shared=shared, views=VIEWS)


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
    """Delete one's own; a form that does not `confirm` it is answered with the question."""
    form = await request.form()
    if not (form.get("confirm") or _is_json(request)):
        saved, name = request.app.state.saved, request.state.user.name
        try:
            old = await run_in_threadpool(saved.own, request.path_params["id"], name)
        except SavedReportError as error:
            raise HTTPException(409, str(error)) from None
        return render(request, "saved_delete.html", old=old, views=VIEWS)
    return await _changed(request, "Deleted", lambda saved, user: saved.delete(request.path_params["id"], user))


@requires(EDIT)
async def restore(request: Request) -> Response:
    """Undo that one's own was deleted."""
    return await _changed(request, "Restored", lambda saved, user: saved.restore(request.path_params["id"], user))


async def _changed(request: Request, activity: str, change: Callable[[SavedReports, str], SavedReport]) -> Response:
    state, user = request.app.state, request.state.user

    def work() -> SavedReport:
        saved = change(state.saved, user.name)
        state.trail.changed_saved(user, activity, saved.id, _said(saved))
        return saved

    try:
        saved = await run_in_threadpool(work)
    except SameNameError:
        raise
    except SavedReportError as error:
        raise HTTPException(409, str(error)) from None
    if _is_json(request):
        return JSONResponse(
            {"id": saved.id, "name": saved.name, "shared": saved.shared, "view": saved.view, "query": saved.query}
        )
    return RedirectResponse("/saved", 303)


def _said(report: SavedReport) -> str:
    """What the trail says of it."""
    shared = ", shared" if report.shared else ""
    return f"{report.name}{shared}{', shared with ' + ', '.join(report.people) if report.people else ''}"


def _is_open(report: SavedReport) -> bool:
    """Whether a reader with masked fields may open it: its filters have values that others saw."""
    try:
        return not parse(parse_qsl(report.query)).asked_by.intersection(MASKED)
    except BadLinkError:
        return False


def _is_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")
