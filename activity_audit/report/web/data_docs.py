"""The data docs of the checks, served beside the report. They show samples of records that failed a check, so they
are for those who may see the quarantine."""

from __future__ import annotations

from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from activity_audit.report.access.permissions import QUARANTINE, requires
from activity_audit.report.web import audited
from activity_audit.settings.core import Settings

PATH = "/data-docs"
# The pages are whole in themselves, their style included, so that they can be opened from a folder; no script runs.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'"

_WAY_BACK = (
    '<body><nav class="report" aria-label="Report"><a href="/">Activity Audit</a> <a href="/quality">Quality</a> '
    '<a href="/quality/checks">Checks</a> <a href="/data-docs/index.html">Data docs</a></nav>'
)


@requires(QUARANTINE)
@audited.quarantine
async def page(request: Request) -> Response:
    """A file of the site."""
    settings: Settings = request.app.state.settings
    root = settings.docs_dir.resolve()
    if not (path := _file(root, request.path_params["path"])):
        raise HTTPException(404, "the data docs have no such page; they are made by each run")
    text = await run_in_threadpool(path.read_text, encoding="utf-8")
    # In a folder the pages lead to one another only; here there is a report to go back to.
    return HTMLResponse(text.replace("<body>", _WAY_BACK, 1), headers={"Content-Security-Policy": _POLICY})


def _file(root: Path, name: str) -> Path | None:
    """The page of the site that has this name."""
    try:
        path = (root / name).resolve()
        found = path.is_relative_to(root) and path.is_file() and path.suffix == ".html"
    except (OSError, ValueError):
        # No file has such a name: it is too long, or has a character 0.
        return None
    return path if found else None


def routes() -> list[BaseRoute]:
    """The site."""
    return [Route(PATH + "/{path:path}", page)]
