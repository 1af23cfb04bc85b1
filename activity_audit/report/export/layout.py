"""What of a view a file has: which columns in which order, how its rows are sorted, and the link that leads back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from activity_audit.report.queries.orders import FIELDS, NEWEST, TIME, Order
from activity_audit.report.titles import TITLES

if TYPE_CHECKING:
    from activity_audit.report.web.urls import State


@dataclass(frozen=True)
class Layout:
    """The fields of the columns in their order, and the order of the rows.

    `link` is the whole URL of the view, None where nobody serves it.
    """

    columns: tuple[str, ...] = FIELDS
    order: Order = NEWEST
    link: str | None = None

    @staticmethod
    def of(state: State, link: str | None = None) -> Layout:
        """As a view shows its events."""
        return Layout(state.columns, Order(state.sort, state.descending), link)

    @property
    def order_text(self) -> str:
        """The order for people."""
        if self.order.field == TIME:
            return "newest first" if self.order.descending else "oldest first"
        return f"by {TITLES[self.order.field]}, {'descending' if self.order.descending else 'ascending'}"

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {"columns": [TITLES[field] for field in self.columns], "order": self.order_text}

    def as_texts(self) -> dict[str, str]:
        """For people: each fact under its name."""
        named = "all" if self.columns == FIELDS else ", ".join(TITLES[field] for field in self.columns)
        return {"Columns": named, "Order": self.order_text}


# All nine columns, newest first.
AS_EVER = Layout()
