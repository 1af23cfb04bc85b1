"""Renders the templates on the server, and gives them what all of them need.

Every value is text that somebody else may have sent: it is escaped, and what cannot be seen in it is named. Where a
value is not looked at but sent back, in a form or an address, `real` or `code` leaves it as it is.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activity_audit.base.catalogue import feed_title
from activity_audit.base.shown_text import visible
from activity_audit.report import periods, texts
from activity_audit.report.bars import change, percent, share
from activity_audit.report.heat import MARKS, MEANINGS
from activity_audit.report.queries import lists
from activity_audit.report.texts import encode
from activity_audit.report.titles import LOOKED, MEASURES, TITLES
from activity_audit.report.web.cells import cell
from activity_audit.report.web.column_filters import HOWS
from activity_audit.report.web.drawing import name_of
from activity_audit.report.web.urls import day_text, hour_code
from activity_audit.report.web.views import VIEWS
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.filters import CHOICES
from activity_audit.warehouse.events.masked import FIELDS as MASKED
from activity_audit.warehouse.verdicts import SIGNS, WORDS

if TYPE_CHECKING:
    import jinja2
    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import HTMLResponse

    from activity_audit.report.access.permissions import User

STATIC = Path(__file__).with_name("static")
_TEMPLATES = Path(__file__).with_name("templates")
_CHARTS = {"none": "No chart", "stacked": "Stacked bars", "bar": "Bars", "line": "Lines", "heat": "Heat map"}


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
            has_more_sessions=user is not None and request.app.state.access.sessions.count_of(user.name) > 1,
            **values,
        )
    )
    return HTMLResponse(text, status)


def moment(value: datetime | None) -> str:
    """A time for scripts to compare."""
    return value.isoformat() if value else ""


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
    from markupsafe import Markup

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        # They do not change while the report is served.
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "static": static,
        "percent": percent,
        "share": share,
        "change": change,
        "chart_titles": _CHARTS,
        "measure_titles": MEASURES,
        "looked_texts": LOOKED,
        "marks": MARKS,
        "signs": SIGNS,
        "words": WORDS,
        "meanings": MEANINGS,
        "columns": COLUMNS,
        "titles": TITLES,
        "column_meanings": {column.field: column.meaning for column in COLUMNS},
        "masked_fields": MASKED,
        "views": VIEWS,
        "period_titles": periods.TITLES,
        "named": name_of,
        # What the filter form has fields for; all else of the state goes with it.
        "kept_by_filters": (*CHOICES, "comments"),
        "hows": HOWS,
        "most_applications": lists.MOST_APPLICATIONS,
    }
    made.filters |= {
        "moment": moment,
        "day": day_text,
        "time": texts.time_text,
        "hour": texts.hour_text,
        "hour_code": hour_code,
        "cell": texts.cell_text,
        "span": texts.span_text,
        "value": texts.value_text,
        "count": texts.count_text,
        "feed": feed_title,
        "bytes": texts.bytes_text,
        "code": lambda value: _real(encode(value)),
        "real": _real,
        "cut": lambda text: texts.cut(text, texts.LONGEST_VALUE),
        "lines": _lines,
        "opening": texts.opening,
        "some": texts.some_text,
        "attributes": lambda value: Markup(cell(value).attributes),
    }
    return made


def _shown(value: Any) -> Any:
    """What stands on the page for a value of a template."""
    from markupsafe import Markup

    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _real(value: str) -> Markup:
    """The value itself, for what sends it back."""
    from markupsafe import escape

    return escape(value)


def _lines(text: str | None) -> Markup | None:
    """A text of several lines, each on its own, where it is shown in full."""
    from markupsafe import Markup, escape

    return text if text is None else Markup("\n").join(escape(visible(line)) for line in text.split("\n"))
