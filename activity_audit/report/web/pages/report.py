"""The report itself: the prompt, the table of events, and the rows and filter values that its scripts ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from activity_audit.base.hours import iso
from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.queries import events, lists
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import audited
from activity_audit.report.web.cells import Cell, cell, table_rows
from activity_audit.report.web.cursors import decode_key, encode_key
from activity_audit.report.web.opened import first, leave, on_page
from activity_audit.report.web.pages.layout import (
    FILTER_FIELDS,
    MOST_VALUES,
    OTHERS,
    FilterList,
    Frame,
    asks_again,
    chips,
    fields_of,
    frame,
    prompt,
    prompt_text,
)
from activity_audit.report.web.pages.query_threads import ask, moment_of, number_of, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import BadLinkError, State

ROWS = 200


@dataclass(frozen=True)
class _Found:
    state: State
    frame: Frame
    page: events.Page
    total: int
    snapshot: int


@requires(VIEW)
@audited.run
@asks_again
async def page(request: Request) -> Response:
    """The events; where nothing is asked yet, the saved report that opens first for the reader, or the prompt."""
    if not request.query_params:
        if to_first := await first(request):
            return RedirectResponse(to_first, 303)
        leave(request)
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
        saved=await on_page(request, state, "table"),
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


@requires(VIEW)
@audited.run
async def rows_page(request: Request) -> Response:
    """`rows` have the report's nine columns as texts, null where there is no value; `first` and `last` are places.

    `shown` has, by the row's number and the column's, what is to be shown in place of a text, and `codes` what a URL
    says of it where that is not the text.
    """
    state = state_of(request, ("after", "before", "index", "snapshot", "now"))
    filters = state.filters(await moment_of(request, state))
    order = events.Order(state.sort, state.descending)
    after, before = (decode_key(request.query_params.get(name), order.fields) for name in ("after", "before"))
    index = number_of(request, "index")

    def work(query: Query) -> dict[str, Any]:
        if index is not None:
            found = events.page_at(query, filters, index, order, limit=ROWS)
        else:
            found = events.page(query, filters, order, after=after, before=before, limit=ROWS)
        return {
            **_as_json([[cell(value) for value in row] for row in found.rows]),
            "first": encode_key(found.first),
            "last": encode_key(found.last),
            "more": found.more,
        }

    return JSONResponse(await ask(request, work, number_of(request, "snapshot")))


def _as_json(rows: list[list[Cell]]) -> dict[str, Any]:
    shown: dict[int, dict[int, str | None]] = {}
    codes: dict[int, dict[int, str]] = {}
    for number, row in enumerate(rows):
        for column, one in enumerate(row):
            if one.shown != one.text:
                shown.setdefault(number, {})[column] = one.shown
            if one.code:
                codes.setdefault(number, {})[column] = one.code
    return {"rows": [[one.text for one in row] for row in rows], "shown": shown, "codes": codes}


@requires(VIEW)
@audited.run
async def filter_list(request: Request) -> Response:
    """The list's items as a piece of the page."""
    state = state_of(request, ("field", "search", "snapshot"))
    filters = state.filters(await moment_of(request, state))
    field, search = request.query_params.get("field", ""), request.query_params.get("search", "")
    if field not in fields_of(request, FILTER_FIELDS):
        raise BadLinkError(f"there is no list of “{field}”")

    def work(query: Query) -> FilterList:
        values = lists.values(query, filters, field, search, MOST_VALUES)
        return FilterList(field, state.named(query.labels.of).lists.get(field, ()), values, search)

    found = await ask(request, work, number_of(request, "snapshot"))
    return render(request, "values.html", list=found, state=state)
