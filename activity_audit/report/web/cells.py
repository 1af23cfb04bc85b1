"""A value of an event as a table shows it: what cannot be seen is named, what is too long is cut.

What stands there is not always the value, which menus copy and filter by; so both are there where they differ.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from typing import Any

from activity_audit.base.visible_text import visible
from activity_audit.report.texts import cell_text, cut
from activity_audit.report.web.values import encode
from activity_audit.warehouse.events.long_texts import LONGEST


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
