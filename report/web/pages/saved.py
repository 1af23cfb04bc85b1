"""Saved."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from report.access.permissions import VIEW, requires
from report.web.templating import render


@requires(VIEW)
async def page(request: Request) -> Response:
    return render(request, "message.html", title="x", why="", what_to_do="", again=None)
