"""The saved report that a page shows, or was begun from: its name, and whether the view differs from it by now."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from activity_audit.report.saved import SavedReport, SavedReportError
from activity_audit.report.web.urls import State

_OPENED = "saved report"


@dataclass(frozen=True)
class Opened:
    """The report, whether the view differs from it, and whether the user may change it."""

    report: SavedReport
    is_changed: bool
    is_own: bool


async def opened(request: Request, state: State, view: str) -> Opened | None:
    """The saved report that is as the view is now, or the one that this session opened last before it changed it."""
    user, data = request.state.user, request.state.session.data
    try:
        found = await run_in_threadpool(request.app.state.saved.visible_to, user.name)
    except SavedReportError:
        # The page of saved reports says what is wrong with them; events are shown all the same.
        return None
    query = urlsplit(state.url()).query
    same = [one for one in found if (one.view, one.query) == (view, query)]
    kept = [one for one in found if one.id == data.get(_OPENED)]
    for report in (*[one for one in kept if one in same], *same, *kept):
        data[_OPENED] = report.id
        return Opened(report, report not in same, report.owner == user.name)
    return None


def leave(request: Request) -> None:
    """Forget which one was opened: something else is asked for."""
    request.state.session.data.pop(_OPENED, None)
