"""The export dialog: which file of what the filters say."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.base.hours import iso
from activity_audit.report.access.permissions import EXPORT, requires
from activity_audit.report.export.pdf_file import MOST_ROWS
from activity_audit.report.queries import events
from activity_audit.report.queries.applications import Application, applications
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.texts import count_text
from activity_audit.report.web import recorded
from activity_audit.report.web.pages.asking import ask, moment_of, number_of, state_of
from activity_audit.report.web.pages.frame import chips, prompt_text
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import State

# What each is good for.
_PDF = "to read and pass on: counts, charts, and the list of "
_FORMATS = (
    ("csv", "CSV", "for any program; formulas are escaped"),
    ("xlsx", "XLSX", "for Excel, with a sheet about it"),
    ("parquet", "Parquet", "exactly what the warehouse has; use it for evidence"),
)


@requires(EXPORT)
@recorded.run
async def page(request: Request) -> Response:
    """What the file will hold, and the formats to choose from."""
    state = state_of(request, ("snapshot", "now"))
    now = await moment_of(request, state)
    filters = state.filters(now)

    def work(query: Query) -> tuple[State, int, int, list[Application]]:
        named = state.named(query.labels.of)
        return named, events.count(query, filters), query.snapshot.snapshot_id, applications(query)

    state, total, snapshot, known = await ask(request, work, number_of(request, "snapshot"))
    return render(
        request,
        "export.html",
        state=state,
        total=total,
        snapshot=snapshot,
        now=iso(now),
        jobs=request.app.state.exports.of_session(request.state.session.key),
        formats=(*_FORMATS, ("pdf", "PDF", _PDF + _listed(total))),
        about=prompt_text(state, filters, known),
        chips=chips(state, "/"),
    )


def _listed(total: int) -> str:
    """Which of so many events a PDF lists."""
    if total <= MOST_ROWS:
        return "all of them"
    return f"the newest {count_text(MOST_ROWS)} of these {count_text(total)} events only"
