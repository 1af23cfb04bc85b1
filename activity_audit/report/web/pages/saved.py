"""Named reports: those that one may open, and the form that saves the view one came from."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.base.hours import now_utc
from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.queries.applications import Application, applications
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.saved import LONGEST_NAME, SavedReport, example
from activity_audit.report.web.pages.asking import ask, moment_of, state_of
from activity_audit.report.web.pages.frame import chips, prompt_text
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import State
from activity_audit.report.web.views import VIEWS, view_of


@requires(VIEW)
async def page(request: Request) -> Response:
    """The list; with the parameters of a view, the form to save it too."""
    state = state_of(request, ("view",)) if request.query_params else None
    view = view_of(request.query_params)
    filters = state.filters(await moment_of(request, state)) if state else None
    name = request.state.user.name

    def work(query: Query) -> tuple[State | None, list[SavedReport], list[Application]]:
        named = state.named(query.labels.of) if state else None
        return named, [example(query, now_utc()), *request.app.state.saved.visible_to(name)], applications(query)

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
    )
