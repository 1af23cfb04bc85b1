"""The sort orders of the report's rows, and the SQL condition for the rows after a given one.

An order ends in the event's id, so that it is one and only one; nulls stand last in either direction. Names and texts
are sorted without regard to case and accents, and those that then are the same by their characters. Times and ids are
sorted as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.filters import compared

TIME = "event_time_utc"
FIELDS = tuple(column.field for column in COLUMNS)
_AS_THEY_ARE = (TIME, "event_id")
# The value of every field that the order goes by, of one row; that of a long text may be its digest.
Key = tuple[Any, ...]
# Fields, and whether each descends.
Terms = tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Order:
    """By one of the nine fields of the fact; rows of the same value are newest first, then by event id.

    Raises ValueError if the field is none of the nine.
    """

    field: str = TIME
    descending: bool = True

    def __post_init__(self) -> None:
        if self.field not in FIELDS:
            raise ValueError(f"events cannot be sorted by {self.field!r}, only by {', '.join(FIELDS)}")

    @property
    def terms(self) -> Terms:
        """What it goes by; a key has the values of these fields."""
        match self.field:
            case "event_id":
                return (("event_id", self.descending),)
            case "event_time_utc":
                return ((TIME, self.descending), ("event_id", False))
        return ((self.field, self.descending), (TIME, True), ("event_id", False))

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it goes by, the first one first."""
        return tuple(field for field, _ in self.terms)


# As the report is at first.
NEWEST = Order()


def order_by(terms: Terms, *, reverse: bool = False) -> str:
    """What stands behind ORDER BY."""
    return ", ".join(
        f"{shown} {'desc' if descending != reverse else 'asc'} nulls {'first' if reverse else 'last'}"
        for field, descending in terms
        for shown in ((field,) if field in _AS_THEY_ARE else (folded(field), field))
    )


def folded(text: str) -> str:
    """SQL of a text without what makes no difference at first."""
    return f"lower(strip_accents({text}))"


def beyond(terms: Terms, key: Key, *, reverse: bool = False) -> tuple[str, list[Any]]:
    """The condition on rows that come after `key`, or before it if `reverse`, and the values to bind.

    Raises:
        ValueError: if the key has not one value for every term.
    """
    if len(key) != len(terms):
        raise ValueError(f"a key of this order has {len(terms)} values, not {len(key)}")
    either: list[str] = []
    values: list[Any] = []
    same: list[str] = []
    same_values: list[Any] = []
    for (field, descending), value in zip(terms, key, strict=True):
        condition, bound = _beyond(field, descending, value, reverse)
        if condition:
            either.append(" and ".join([*same, condition]))
            values += [*same_values, *bound]
        same.append(f"{field} is null" if value is None else f"{compared(field, value)} = ?")
        same_values += [] if value is None else [value]
    return f"({' or '.join(f'({one})' for one in either) or 'false'})", values


def _beyond(field: str, descending: bool, value: Any, reverse: bool) -> tuple[str, list[Any]]:
    if value is None:
        # Nulls are last: nothing comes after one, and everything else before it.
        return (f"{field} is not null", []) if reverse else ("", [])
    sign = ">" if descending == reverse else "<"
    condition, bound = f"{compared(field, value)} {sign} ?", [value]
    if field in _AS_THEY_ARE:
        return condition, bound
    condition = f"({folded(field)} {sign} {folded('?')} or ({folded(field)} = {folded('?')} and {condition}))"
    return condition if reverse else f"({condition} or {field} is null)", [value, value, *bound]
