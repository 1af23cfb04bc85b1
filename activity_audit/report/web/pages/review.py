"""The auditor's page of a period, made from the report: the same file that `audit review` writes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from activity_audit.report.access.permissions import QUARANTINE, requires
from activity_audit.report.auditors import collect, page
from activity_audit.report.queries.trust import known, trust
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import audited
from activity_audit.report.web.pages.query_threads import ask, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import BadLinkError, day_of
from activity_audit.settings.core import Settings
from activity_audit.warehouse.verdicts import Condition

_DAY = timedelta(days=1)
# To check each hash of a long period takes longer than anybody waits for a page.
MOST_DAYS = 92


@requires(QUARANTINE)
async def form(request: Request) -> Response:
    """The period to choose; at first the newest 31 days."""
    state_of(request)

    def work(query: Query) -> tuple[Condition, datetime | None]:
        return trust(query), known(query).newest

    state, newest = await ask(request, work)
    last = (newest or datetime.now(UTC)).date()
    return render(
        request, "review.html", tab="review", trust=state, first=last - 30 * _DAY, last=last, most_days=MOST_DAYS
    )


@requires(QUARANTINE)
@audited.quarantine
async def make(request: Request) -> Response:
    """The page of the form's days, for download; one at a time, because it may read every event of them."""
    asked = await request.form()
    first, last = (day_of(str(asked.get(name))) for name in ("from", "to"))
    if not timedelta(0) <= last - first < MOST_DAYS * _DAY:
        raise BadLinkError(f"choose from 1 to {MOST_DAYS} days; `audit review` makes the page of any period")
    window = (datetime.combine(first, time(), UTC), datetime.combine(last + _DAY, time(), UTC))
    settings: Settings = request.app.state.settings
    busy = request.app.state.reviewing
    if not busy.acquire(blocking=False):
        raise HTTPException(409, "another auditor's page is being made; try again when it is done")
    try:
        text = await run_in_threadpool(_made, settings, window, "verify" in asked)
    finally:
        busy.release()
    name = f"activity-audit-review_{first}_{last}.html"
    # The page runs nothing, and has its style in itself.
    return HTMLResponse(text, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _made(settings: Settings, window: tuple[datetime, datetime], verify: bool) -> str:
    review = collect.collect(settings, window, check_integrity=verify)
    return page.render(review, settings.docs_dir, settings.review_file)
