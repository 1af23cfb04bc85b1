"""Templates rendered on the server, every value escaped; what all of them know is put in here."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from report import periods, texts
from report.bars import share
from report.columns import COLUMNS
from report.web.heat import MARKS, MEANINGS
from report.web.values import encode

if TYPE_CHECKING:
    import jinja2
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from report.access.permissions import User

STATIC = Path(__file__).with_name("static")
_TEMPLATES = Path(__file__).with_name("templates")
TITLES = {column.field: column.title for column in COLUMNS}


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The template as an answer, with who asks and the token that their forms must carry."""
    from starlette.responses import HTMLResponse

    state = request.state
    user: User | None = getattr(state, "user", None)
    text = (
        environment()
        .get_template(template)
        .render(
            user=user,
            csrf=getattr(state, "csrf", ""),
            links=[link for link in request.app.state.links() if user and user.may(link.permission)],
            here=request.url.path,
            **values,
        )
    )
    return HTMLResponse(text, status)


def static(name: str) -> str:
    """The path of a static file; it changes when one of them does, so that it can be kept for ever."""
    return f"/static/{static_version()}/{name}"


@cache
def static_version() -> str:
    """A hash over every static file."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def environment() -> jinja2.Environment:
    """The templates' environment."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        # They do not change while the report is served.
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "static": static,
        "share": share,
        "marks": MARKS,
        "meanings": MEANINGS,
        "columns": COLUMNS,
        "titles": TITLES,
        "period_titles": periods.TITLES,
    }
    made.filters |= {
        "time": texts.time_text,
        "hour": texts.hour_text,
        "cell": texts.cell_text,
        "value": texts.value_text,
        "count": texts.count_text,
        "bytes": texts.bytes_text,
        "code": encode,
    }
    return made
