"""What a reader says about one column, in its header's form or the filters' one, as a part of the URL's state."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from activity_audit.report.web.urls import FIELDS, TIME, BadLinkError, State, bounded, clock
from activity_audit.warehouse.events.long_texts import short

T = TypeVar("T")
# The parameters of the form.
PARAMETERS = ("column", "how", "what")
# For programs and for people; the time has one of its own.
HOWS = {
    "contains": "contains",
    "is": "is",
    "is-not": "is not",
    "empty": "is empty",
    "not-empty": "is not empty",
    "time-of-day": "is at a time of day",
}


def filtered(state: State, column: str, how: str, what: str) -> State:
    """The state with one more filter; `what` is the text that goes with it.

    Raises:
        BadLinkError: if there is no such column, or it cannot be asked so; or the text is missing, too long or no time.
    """
    if column not in FIELDS or how not in HOWS:
        raise BadLinkError(f"the report cannot filter “{column}” by “{how}”")
    if (column == TIME) != (how == "time-of-day"):
        raise BadLinkError("the Event Time is filtered by the time of day, and no other column is")
    if not what and how not in ("empty", "not-empty"):
        raise BadLinkError(f"type what the column {HOWS[how]}")
    match how:
        case "contains":
            return replace(state, contains=_with(state.contains, (column, bounded(what))))
        case "is":
            return state.with_list(column, (short(what),))
        case "is-not":
            return state.excluding(column, short(what))
        case "empty":
            return replace(state, empty=_with(state.empty, column))
        case "not-empty":
            return replace(state, filled=_with(state.filled, column))
    return replace(state, time_of_day=clock(what))


def _with(known: tuple[T, ...], one: T) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*known, one)))
