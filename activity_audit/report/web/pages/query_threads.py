"""Runs the questions of a page in a thread, and cancels them when the reader has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from activity_audit.base.hours import aware, now_utc, parse_time
from activity_audit.report import periods
from activity_audit.report.queries.trust import known
from activity_audit.report.web.column_filters import PARAMETERS, filtered
from activity_audit.report.web.urls import BadLinkError, State, parse
from activity_audit.warehouse.events.masked import FIELDS as MASKED
from activity_audit.warehouse.events.masked import SAID

if TYPE_CHECKING:
    from activity_audit.report.queries.warehouse import Query

T = TypeVar("T")
_LOOK_EVERY = 0.1
# So many answers a user waits for, so that none takes all the threads that ask.
MOST_AT_ONCE = 100


async def ask(request: Request, work: Callable[[Query], T], snapshot: int | None = None) -> T:
    """What `work` finds in the newest snapshot, or in the one of this number.

    Raises:
        HTTPException: 429 if the user asks too much at once.
        QueryStoppedError: if it took too long, or the reader closed the connection.
        WarehouseError: if the warehouse cannot answer.
    """
    asked: list[Query] = []
    under_way, name = request.app.state.under_way, request.state.user.name
    if under_way[name] >= MOST_AT_ONCE:
        why = f"you already wait for {MOST_AT_ONCE} answers; let them arrive, or close their pages"
        raise HTTPException(429, why, {"Retry-After": "2"})

    def run() -> T:
        is_masked = request.state.user.is_masked
        with request.app.state.warehouse.query(snapshot=snapshot, masked=is_masked) as query:
            asked.append(query)
            return work(query)

    under_way[name] += 1
    try:
        task = asyncio.get_running_loop().run_in_executor(request.app.state.warehouse.readers, run)
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_EVERY)
            if not task.done() and await request.is_disconnected():
                for query in asked:
                    query.cancel()
    finally:
        under_way[name] -= 1
        if not under_way[name]:
            del under_way[name]
    return task.result()


def state_of(request: Request, others: Iterable[str] = ()) -> State:
    """What the request's URL says; `others` are the page's own parameters.

    Raises:
        BadLinkError: if it says something unknown.
        HTTPException: 403 if it asks by a field that is masked for the user.
    """
    state = parse(request.query_params.multi_items(), others)
    if "column" in request.query_params and "column" in others:
        state = filtered(state, *(request.query_params.get(name, "") for name in PARAMETERS))
    if not request.state.user.is_masked:
        return state
    if by := sorted(state.asked_by.intersection(MASKED)):
        raise HTTPException(403, f"for you {SAID}, so events cannot be chosen, sorted or grouped by {by[0]}")
    return replace(state, searched=tuple(field for field in state.searched if field not in MASKED))


async def moment_of(request: Request, state: State) -> datetime:
    """When the report was asked for: `now` of the URL, so that the next rows are of the same period, or this moment.

    For a period of the last hours it is the end of the data, if that is earlier: an hour that nobody has published
    would be empty.

    Raises:
        BadLinkError: if it is no time.
    """
    text = request.query_params.get("now")
    try:
        if text:
            return parse_time(text)
    except ValueError as error:
        raise BadLinkError(str(error)) from None
    now = now_utc()
    if state.period not in periods.OF_HOURS:
        return now
    through = await ask(request, lambda query: known(query).data_through)
    return min(now, aware(through)) if through else now


def number_of(request: Request, name: str) -> int | None:
    """A parameter that is a whole number, not negative; None where it is not said.

    Raises:
        BadLinkError: if it is none.
    """
    text = request.query_params.get(name)
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise BadLinkError(f"“{name}” must be a whole number, not “{text}”")
    return int(text)
