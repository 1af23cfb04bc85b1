"""One event: all of its fields, and where it came from."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.base.hours import naive, parse_time
from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.queries.detail import Event, event
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import audited
from activity_audit.report.web.pages.messages import message
from activity_audit.report.web.pages.query_threads import ask, number_of, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import BadLinkError
from activity_audit.warehouse.events.long_texts import Digest, short

_OTHERS = ("id", "sha256", "at", "snapshot")


@requires(VIEW)
@audited.event
async def page(request: Request) -> Response:
    """The event whose id the URL says; `at`, its time, spares a look through all of the history."""
    state = state_of(request, _OTHERS)
    event_id, at = _which(request), _time(request.query_params.get("at"))

    def work(query: Query) -> Event | None:
        return event(query, event_id, at)

    found = await ask(request, work, number_of(request, "snapshot"))
    if not found:
        return message(
            request,
            404,
            "There is no such event",
            f"The warehouse has no event with the ID “{event_id}”.",
            "Check the link for a letter that was lost. An event of the last hours may not be published yet.",
        )
    request.state.event_id = short(found.fields["event_id"])
    return render(request, "event.html", event=found, state=state)


def _which(request: Request) -> str | Digest:
    """The event's id, or its hash where the id is too long for a link."""
    sha256 = request.query_params.get("sha256")
    try:
        return Digest(sha256) if sha256 else request.query_params.get("id", "")
    except ValueError as error:
        raise BadLinkError(str(error)) from None


def _time(text: str | None) -> datetime | None:
    try:
        return naive(parse_time(text)) if text else None
    except ValueError as error:
        raise BadLinkError(str(error)) from None
