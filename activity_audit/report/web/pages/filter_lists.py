"""The values of one field, as the filters' script asks for them while somebody types."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.queries import lists
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import recorded
from activity_audit.report.web.pages.asking import ask, moment_of, number_of, state_of
from activity_audit.report.web.pages.frame import FILTER_FIELDS, MOST_VALUES, FilterList
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import BadLinkError


@requires(VIEW)
@recorded.run
async def page(request: Request) -> Response:
    """The list's items as a piece of the page."""
    state = state_of(request, ("field", "search", "snapshot"))
    filters = state.filters(await moment_of(request, state))
    field, search = request.query_params.get("field", ""), request.query_params.get("search", "")
    if field not in FILTER_FIELDS:
        raise BadLinkError(f"there is no list of “{field}”")

    def work(query: Query) -> FilterList:
        values = lists.values(query, filters, field, search, MOST_VALUES)
        return FilterList(field, state.named(query.labels.of).lists.get(field, ()), values, search)

    found = await ask(request, work, number_of(request, "snapshot"))
    return render(request, "values.html", list=found, state=state)
