"""What a page asks now and then, to say that newer data are published."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.queries.trust import known
from activity_audit.report.web.pages.query_threads import ask, state_of
from activity_audit.report.web.templating import moment

PATH = "/newest"


@requires(VIEW)
async def page(request: Request) -> Response:
    """When the newest run that published something began, as the pages have it."""
    state_of(request)
    return JSONResponse({"refreshed": moment(await ask(request, lambda query: known(query).refreshed_at))})
