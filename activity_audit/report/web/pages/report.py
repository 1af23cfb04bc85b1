"""The report itself: the prompt, and the table of events that it leads to."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from activity_audit.base.hours import iso
from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.queries import events
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import recorded
from activity_audit.report.web.pages.asking import ask, moment_of, number_of, state_of
from activity_audit.report.web.pages.frame import OTHERS, Frame, chips, frame, prompt_text
from activity_audit.report.web.pages.prompt import asks_again, prompt
from activity_audit.report.web.places import decode_key, encode_key
from activity_audit.report.web.table_rows import table_rows
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import State

ROWS = 200


@dataclass(frozen=True)
class _Found:
    state: State
    frame: Frame
    page: events.Page
    total: int
    snapshot: int


@requires(VIEW)
@recorded.run
@asks_again
async def page(request: Request) -> Response:
    """The prompt where nothing is asked yet, else the events."""
    if not request.query_params:
        return await prompt(request)
    state = state_of(request, (*OTHERS, "after", "before", "snapshot", "now"))
    if "form" in request.query_params:
        # A form's URL says what was left empty, too; the one that people share does not.
        return RedirectResponse(state.url(), 303)
    now = await moment_of(request, state)
    filters = state.filters(now)
    order = events.Order(state.sort, state.descending)
    after, before = (decode_key(request.query_params.get(name), order.fields) for name in ("after", "before"))

    def work(query: Query) -> _Found:
        rows = events.page(query, filters, order, after=after, before=before, limit=ROWS)
        total = events.count(query, filters)
        named = state.named(query.labels.of)
        return _Found(named, frame(query, request, named, filters), rows, total, query.snapshot.snapshot_id)

    found = await ask(request, work, number_of(request, "snapshot"))
    state = found.state
    has_before, has_after = _neighbours(found.page, after is not None, before is not None)
    return render(
        request,
        "report.html",
        view="table",
        state=state,
        page="/",
        frame=found.frame,
        chips=chips(state, "/"),
        about=prompt_text(state, filters, found.frame.applications),
        rows=table_rows(found.page.rows, state),
        total=found.total,
        snapshot=found.snapshot,
        now=iso(now),
        is_first=after is None and before is None,
        first=encode_key(found.page.first),
        last=encode_key(found.page.last),
        has_before=has_before,
        has_after=has_after,
    )


def _neighbours(found: events.Page, is_after: bool, is_before: bool) -> tuple[bool, bool]:
    """Whether there are rows before and behind the page's."""
    if is_before:
        return found.more, True
    return is_after, found.more
