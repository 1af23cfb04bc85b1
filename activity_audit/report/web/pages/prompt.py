"""The prompt: which applications, which period. It is shown again where the period that somebody chose is none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.report.web.pages.asking import ask
from activity_audit.report.web.pages.frame import chips, frame
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import BadPeriodError, State

Endpoint = Callable[[Request], Awaitable[Response]]


async def prompt(request: Request) -> Response:
    """The prompt where nothing is asked yet."""
    return await _prompt(request, State())


def asks_again(endpoint: Endpoint) -> Endpoint:
    """Decorates a view: where the period is none, the prompt says so at its field and keeps everything else."""

    @wraps(endpoint)
    async def asked(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadPeriodError as error:
            if "application/json" in request.headers.get("accept", ""):
                raise
            return await _prompt(request, error.state, str(error))

    return asked


async def _prompt(request: Request, state: State, wrong: str = "") -> Response:
    found = await ask(request, lambda query: frame(query, request, None, None))
    return render(
        request,
        "prompt.html",
        400 if wrong else 200,
        state=state,
        frame=found,
        page=request.url.path,
        wrong=wrong[:1].upper() + wrong[1:],
        typed={name: request.query_params.get(name, "") for name in ("from", "to")} if wrong else {},
        chips=chips(state, request.url.path) if wrong else [],
    )
