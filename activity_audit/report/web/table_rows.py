"""The rows of the table of events as HTML. Not a template: one for each of 1,800 cells took most of a page's time."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from activity_audit.report.texts import NO_VALUE
from activity_audit.report.web.cells import cell
from activity_audit.report.web.urls import TIME, State
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.long_texts import Digest, short

if TYPE_CHECKING:
    from markupsafe import Markup

_PLACES = {column.field: place for place, column in enumerate(COLUMNS)}
_ID, _AT = _PLACES["event_id"], _PLACES[TIME]


def table_rows(rows: Iterable[tuple[Any, ...]], state: State) -> Markup:
    """A `tr` for each row of the report's nine columns, with the columns that the state shows; the first is a link."""
    from markupsafe import Markup

    shown = [(field, _PLACES[field]) for field in state.columns]
    # Two hundred long links are a long page. The script puts the state into each; without it one goes back to the table
    # as the browser does.
    event = escape(state.url("/event")) if state.is_short else "/event?"
    return Markup("\n".join(_row(row, shown, event) for row in rows))


def event_id(value: str) -> str:
    """The parameter of the event's page that says which event."""
    found = short(value)
    return f"sha256={found.sha256}" if isinstance(found, Digest) else f"id={quote_plus(value)}"


def _row(row: tuple[Any, ...], columns: list[tuple[str, int]], event: str) -> str:
    cells = []
    for number, (field, place) in enumerate(columns):
        shown = cell(row[place])
        named = field
        if shown.shown is None:
            named, content = f"{field} null", NO_VALUE
        else:
            content = escape(shown.shown)
            if field == "outcome":
                named = f"{field} {content}"
            if number == 0:
                # A time is quoted like this sooner than by `quote_plus`.
                at = str(row[_AT]).replace(" ", "+").replace(":", "%3A")
                which = f"{event_id(row[_ID])}&amp;at={at}"
                content = f'<a href="{event}&amp;{which}">{content}</a>'
        cells.append(f'<td class="{named}" data-field="{field}"{shown.attributes}>{content}</td>')
    return f'<tr class="event">{"".join(cells)}</tr>'
