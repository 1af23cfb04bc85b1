"""Decorators that record each reading of a page in the report's audit trail.

They go below `requires`. The record is written when the page is made, before any of it is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from activity_audit.base.hours import now_utc
from activity_audit.report.queries.warehouse import QueryStoppedError
from activity_audit.report.trail import said
from activity_audit.report.web.pages.query_threads import moment_of
from activity_audit.report.web.urls import LOOKS, State, parse
from activity_audit.warehouse.lake import NothingPublishedError, WarehouseError

Endpoint = Callable[[Request], Awaitable[Response]]
_REMEMBERED = "runs"
_MOST_REMEMBERED = 200
_NOT_ASKED = ("sort", "columns", *(name for name in LOOKS if name != "across"))


def run(endpoint: Endpoint) -> Endpoint:
    """A page of the events that its URL asks for: the report was run, or it goes on with a run of this session."""

    @wraps(endpoint)
    async def recorded(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except NothingPublishedError:
            raise
        except (QueryStoppedError, WarehouseError):
            await _record_run(request, ok=False)
            raise
        if response.status_code < 300 and request.query_params:
            await _record_run(request, ok=True)
        return response

    return recorded


def event(endpoint: Endpoint) -> Endpoint:
    """A page of the one event, whose id the endpoint leaves as `request.state.event_id`."""

    @wraps(endpoint)
    async def recorded(request: Request) -> Response:
        response = await endpoint(request)
        if response.status_code < 300:
            trail, event_id = request.app.state.trail, request.state.event_id
            await run_in_threadpool(trail.viewed_event, request.state.user, str(event_id))
        return response

    return recorded


def quarantine(endpoint: Endpoint) -> Endpoint:
    """A page that shows records in quarantine."""

    @wraps(endpoint)
    async def recorded(request: Request) -> Response:
        response = await endpoint(request)
        if response.status_code < 300:
            await run_in_threadpool(request.app.state.trail.viewed_quarantine, request.state.user)
        return response

    return recorded


async def _record_run(request: Request, *, ok: bool) -> None:
    items = request.query_params.multi_items()
    state = parse(items, [name for name, _ in items])
    key = (_asked(state), ok)
    known: dict[object, None] = request.state.session.data.setdefault(_REMEMBERED, {})
    # To open the first page again is to run it again; its next rows and its lists are the same run.
    goes_on = request.url.path != "/" or {"after", "before"} & set(request.query_params)
    if goes_on and key in known:
        return
    across = f" across {state.across}" if state.across else ""
    how = f"grouped by {', '.join(state.group)}{across}" if state.group else ""
    # Where the warehouse did not answer, it does not say where its data end either.
    now = await moment_of(request, state) if ok else now_utc()
    text = said(state.filters(now), how)
    await run_in_threadpool(request.app.state.trail.ran, request.state.user, text, ok=ok)
    known[key] = None
    for old in list(known)[:-_MOST_REMEMBERED]:
        del known[old]


def _asked(state: State) -> tuple[object, ...]:
    """What tells two runs apart: not the order, the columns, or how it looks."""
    return tuple(pair for pair in state.pairs() if pair[0] not in _NOT_ASKED)
