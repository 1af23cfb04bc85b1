"""Saved reports on the pages of the report: the one that is shown, one's favourites, and the one that opens first."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from activity_audit.report.saved.reports import SavedReport, SavedReportError
from activity_audit.report.web.urls import State
from activity_audit.report.web.views import VIEWS

_OPENED = "saved report"


@dataclass(frozen=True)
class Opened:
    """The report, whether the view differs from it, and whether the user may change it."""

    report: SavedReport
    is_changed: bool
    is_own: bool
    is_favourite: bool


@dataclass(frozen=True)
class OnPage:
    """What a page says of saved reports: the one that it shows, if any, and the reader's favourites, by name."""

    opened: Opened | None
    favourites: list[SavedReport]


async def on_page(request: Request, state: State | None = None, view: str = "") -> OnPage:
    """The favourites, and the one that a view shows; where there is no view yet, none."""
    found = await _visible(request)
    shown = _opened(request, found, state, view) if state else None
    favourites = [one for one in found if request.state.user.name in one.favourite_of]
    return OnPage(shown, [one for one in favourites if one.asked_by(request.state.user)])


async def first(request: Request) -> str | None:
    """The address of the report that opens first for the reader, if there is one that they can open."""
    user = request.state.user
    for one in await _visible(request):
        if user.name in one.first_of and one.asked_by(user):
            return f"{VIEWS[one.view]}?{one.query}"
    return None


async def _visible(request: Request) -> list[SavedReport]:
    try:
        return await run_in_threadpool(request.app.state.saved.visible_to, request.state.user)
    except SavedReportError:
        # The page of saved reports says what is wrong with them; events are shown all the same.
        return []


def _opened(request: Request, found: list[SavedReport], state: State, view: str) -> Opened | None:
    """The saved report that is as the view is now, or the one that this session opened last before it changed it."""
    user, data = request.state.user, request.state.session.data
    query = urlsplit(state.url()).query
    same = [one for one in found if (one.view, one.query) == (view, query)]
    kept = [one for one in found if one.id == data.get(_OPENED)]
    for report in (*[one for one in kept if one in same], *same, *kept):
        data[_OPENED] = report.id
        return Opened(report, report not in same, report.owner == user.name, user.name in report.favourite_of)
    return None


def leave(request: Request) -> None:
    """Forget which one was opened: something else is asked for."""
    request.state.session.data.pop(_OPENED, None)
