"""The help page: what each column, figure, sign and reason means, and how the report is used."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.definitions import AREAS, FIGURES
from activity_audit.report.web.pages.query_threads import state_of
from activity_audit.report.web.templating import render
from activity_audit.warehouse.quarantine import MEANINGS


@requires(VIEW)
async def page(request: Request) -> Response:
    """All definitions; none of them says anything of the data."""
    state_of(request)
    return render(request, "help.html", figures=FIGURES, areas=AREAS, reasons=MEANINGS)
