"""Rows of the table for its script: those at an index, or those next to a place."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.queries import events
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import recorded
from activity_audit.report.web.cells import Cell, cell
from activity_audit.report.web.pages.asking import ask, moment_of, number_of, state_of
from activity_audit.report.web.pages.report import ROWS
from activity_audit.report.web.places import decode_key, encode_key


@requires(VIEW)
@recorded.run
async def page(request: Request) -> Response:
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
