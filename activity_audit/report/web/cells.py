"""The cells of the table of events: invisible characters are named, and long texts are cut.

What stands there is not always the value, which menus copy and filter by; so both are there where they differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from activity_audit.base.shown_text import visible
from activity_audit.report.texts import NO_VALUE, cell_text, cut, encode
from activity_audit.report.web.urls import TIME, State
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.long_texts import LONGEST, Digest, short

if TYPE_CHECKING:
    from markupsafe import Markup
_PLACES = {column.field: place for place, column in enumerate(COLUMNS)}
_ID, _AT = _PLACES["event_id"], _PLACES[TIME]


@dataclass(frozen=True)
class Cell:
    """What is `shown` of a value, None where there is none, and its text itself, cut where it is too long.

    `code` is the value in a URL, where a script could not make it of the text.
    """

    shown: str | None
    text: str | None
    code: str | None = None

    @property
    def attributes(self) -> str:
        """The text and the code for a script, as attributes of the element that shows the cell."""
        found = ""
        if self.text != self.shown:
            # JSON, because an attribute cannot have every character.
            found += f' data-text="{escape(json.dumps(self.text))}"'
        return found + (f' data-code="{escape(self.code)}"' if self.code else "")


def cell(value: Any) -> Cell:
    """The cell of a value of the warehouse."""
    text = cell_text(value)
    if text is None or (len(text) <= LONGEST and text.isascii() and text.isprintable()):
        return Cell(text, text)
    code = encode(text)
    return Cell(cut(visible(text)), cut(text), None if code in (text, f"~{text}") else code)


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
