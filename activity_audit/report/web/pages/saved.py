"""Saved reports: the list, the form that saves a view, and saving, sharing and deleting them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from activity_audit.base.hours import now_utc
from activity_audit.report.access.permissions import EDIT, ROLES, VIEW, requires
from activity_audit.report.queries.lists import Application, applications
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.saved.book import Mark, SavedReports
from activity_audit.report.saved.example import example
from activity_audit.report.saved.reports import (
    LONGEST_DESCRIPTION,
    LONGEST_NAME,
    Details,
    SameNameError,
    SavedReport,
    SavedReportError,
)
from activity_audit.report.web.pages.layout import chips, prompt_text
from activity_audit.report.web.pages.query_threads import ask, moment_of, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import State, parse
from activity_audit.report.web.views import VIEWS, view_of

# What the last part of an address changes: which mark, and whether it is set.
MARKS: dict[str, tuple[Mark, bool]] = {
    "favourite": ("favourite_of", True),
    "unfavourite": ("favourite_of", False),
    "first": ("first_of", True),
    "unfirst": ("first_of", False),
}


@requires(VIEW)
async def page(request: Request) -> Response:
    """The list; with the parameters of a view, the form to save it too."""
    state = state_of(request, ("view",)) if request.query_params else None
    view = view_of(request.query_params)
    filters = state.filters(await moment_of(request, state)) if state else None
    user = request.state.user

    def work(query: Query) -> tuple[State | None, list[SavedReport], list[Application]]:
        named = state.named(query.labels.of) if state else None
        # The filters of others have values that are masked for this reader.
        theirs = [one for one in request.app.state.saved.visible_to(user) if not user.is_masked or one.asked_by(user)]
        return named, [*theirs, example(query, now_utc())], applications(query)

    state, reports, known = await ask(request, work)
    return render(
        request,
        "saved.html",
        reports=reports,
        state=state,
        view=view,
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
        Route("/saved/{id}/edit", edit, methods=["GET", "POST"]),
        *[Route(f"/saved/{{id}}/{change}", mark, methods=["POST"]) for change in MARKS],
        Route("/saved/{id}/share", share, methods=["POST"]),
        Route("/saved/{id}/unshare", unshare, methods=["POST"]),
        Route("/saved/{id}/delete", delete, methods=["POST"]),
        Route("/saved/{id}/restore", restore, methods=["POST"]),
    ]


@requires(EDIT)
async def save(request: Request) -> Response:
    """Save the form's `query`, which is that of a URL of the report, under its `name`.

    `view` names how it is shown, the table if the form does not say. `shared` is 1 or 0; without it nothing changes
    about that. `people` and `roles` have the names of those whom it is shared with, with commas. `replace` has the id
    of one's own report of the name, if there is one, and `seen` when that was saved, so that nothing newer is replaced.
    """
    form = await request.form()
    name, query = str(form.get("name", "")), str(form.get("query", ""))
    # What cannot be opened again is not saved.
    parse(parse_qsl(query.removeprefix("?"), keep_blank_values=True))
    view, details = view_of(form), _details(request, form)
    replaced, seen = str(form.get("replace", "")), str(form.get("seen", ""))

    def change(saved: SavedReports, user: str) -> SavedReport:
        return saved.save(name, user, query, details, view=view, replace_id=replaced, seen=seen)

    try:
        return await _changed(request, "Saved", change)
    except SameNameError as error:
        if _is_json(request):
            raise HTTPException(409, f"{error}, with its id as `replace`: {error.report.id}") from None
        wanted = {"name": name, "query": query, "view": view, "replace": error.report.id, "seen": error.report.saved_at}
        wanted |= {key: str(form[key]) for key in ("description", "people", "roles") if form.get(key)}
        shared = error.report.shared or bool(details.shared)
        return render(request, "saved_replace.html", 409, old=error.report, wanted=wanted, shared=shared)


@requires(EDIT)
async def edit(request: Request) -> Response:
    """The form that changes one's own report's name, description and who sees it; and the change, if it is sent."""
    report_id = request.path_params["id"]
    if request.method == "POST":
        form = await request.form()
        name, details, seen = str(form.get("name", "")), _details(request, form), str(form.get("seen", ""))
        return await _changed(request, "Edited", lambda saved, user: saved.edit(report_id, user, name, details, seen))
    return await _asked(request, "saved_edit.html", longest=LONGEST_NAME, longest_description=LONGEST_DESCRIPTION)


@requires(VIEW)
async def mark(request: Request) -> Response:
    """Make a report one's favourite or not any more, or have it open first or not.

    It leads back to the list, or to the report where `then` is “report”.
    """
    user, (kind, is_set) = request.state.user, MARKS[request.url.path.rpartition("/")[2]]
    saved: SavedReports = request.app.state.saved
    try:
        report = await run_in_threadpool(saved.mark, request.path_params["id"], user, kind, is_set)
    except SavedReportError as error:
        raise HTTPException(409, str(error)) from None
    if _is_json(request):
        return _as_json(report)
    to_report = (await request.form()).get("then") == "report"
    return RedirectResponse(f"{VIEWS[report.view]}?{report.query}" if to_report else "/saved", 303)


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
        return await _asked(request, "saved_delete.html")
    return await _changed(request, "Deleted", lambda saved, user: saved.delete(request.path_params["id"], user))


@requires(EDIT)
async def restore(request: Request) -> Response:
    """Undo that one's own was deleted."""
    return await _changed(request, "Restored", lambda saved, user: saved.restore(request.path_params["id"], user))


async def _asked(request: Request, template: str, **values: Any) -> Response:
    """A form about one's own report."""
    saved, name = request.app.state.saved, request.state.user.name
    try:
        old = await run_in_threadpool(saved.own, request.path_params["id"], name)
    except SavedReportError as error:
        raise HTTPException(409, str(error)) from None
    return render(request, template, old=old, **values)


def _details(request: Request, form: FormData) -> Details:
    """What a form says of a report; what it does not have stays as it is."""

    def names(field: str) -> list[str] | None:
        said = form.get(field)
        return None if said is None else re.split(r"[,\n]", str(said))

    description, shared, roles = form.get("description"), form.get("shared"), names("roles")
    if request.app.state.access.users:
        # A provider has roles of its own; a file of users has none.
        unknown = [name for text in roles or () if (name := text.strip().lower()) and name not in ROLES]
        if unknown:
            raise HTTPException(409, f"there is no role “{unknown[0]}”; the roles are {', '.join(ROLES)}")
    return Details(
        None if description is None else str(description),
        None if shared is None else shared == "1",
        names("people"),
        roles,
    )


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
        return _as_json(saved)
    return RedirectResponse("/saved", 303)


def _said(report: SavedReport) -> str:
    """What the trail says of it."""
    shared = ", shared" if report.shared else ""
    return f"{report.name}{shared}{', shared with ' + ', '.join(report.names) if report.names else ''}"


def _as_json(report: SavedReport) -> Response:
    said = ("id", "name", "shared", "view", "query", "description", "people", "roles")
    return JSONResponse({name: getattr(report, name) for name in said})


def _is_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")
