"""The rows of the table of events as HTML. Not a template: one for each of 1,800 cells took most of a page's time."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from report.columns import COLUMNS
from report.texts import NO_VALUE, cell_text
from report.web.urls import TIME, State

if TYPE_CHECKING:
    from markupsafe import Markup

_PLACES = {column.field: place for place, column in enumerate(COLUMNS)}
_ID, _AT = _PLACES["event_id"], _PLACES[TIME]


def table_rows(rows: Iterable[tuple[Any, ...]], state: State) -> Markup:
    """A `tr` for each row of the report's nine columns, with the columns that the state shows; the first is a link."""
    from markupsafe import Markup

    shown = [(field, _PLACES[field]) for field in state.columns]
    event = escape(state.url("/event"))
    return Markup("\n".join(_row(row, shown, event) for row in rows))


def _row(row: tuple[Any, ...], shown: list[tuple[str, int]], event: str) -> str:
    cells = []
    for number, (field, place) in enumerate(shown):
        text = cell_text(row[place])
        named = field
        if text is None:
            named, content = f"{field} null", NO_VALUE
        else:
            content = escape(text)
            if field == "outcome":
                named = f"{field} {content}"
            if number == 0:
                # A time is quoted like this sooner than by `quote_plus`.
                at = str(row[_AT]).replace(" ", "+").replace(":", "%3A")
                which = f"id={quote_plus(row[_ID])}&amp;at={at}"
                content = f'<a href="{event}&amp;{which}">{content}</a>'
        cells.append(f'<td class="{named}" data-field="{field}">{content}</td>')
    return f'<tr class="event">{"".join(cells)}</tr>'
