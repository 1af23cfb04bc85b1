"""A named report: a name for what a URL of the report asks for, private to who saved it, or shared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from activity_audit.report.web.urls import BadLinkError, State, parse
from activity_audit.warehouse.events.masked import FIELDS as MASKED

if TYPE_CHECKING:
    from activity_audit.report.access.permissions import User

LONGEST_NAME = 100
LONGEST_DESCRIPTION = 500
_MOST_NAMES, _LONGEST_OF_THEM = 100, 200


class SavedReportError(ValueError):
    """A named report cannot be saved or changed; the message says why."""


class SameNameError(SavedReportError):
    """One's own report of the name is there; `report` is it, and is replaced only if one says so."""

    def __init__(self, report: SavedReport) -> None:
        super().__init__(f"you already have a saved report “{report.name}”; choose to replace it")
        self.report = report


@dataclass(frozen=True)
class SavedReport:
    """One of them. `query` is the part of the URL behind the `?`, `view` how it is shown; the example has no owner.

    `people` and `roles` are those whom it is shared with by name. `favourite_of` and `first_of` are the people who
    marked it as a favourite, and those for whom it opens first. One that was deleted, at `deleted_at`, is kept for a
    while.
    """

    id: str
    name: str
    owner: str | None
    shared: bool
    query: str
    saved_at: str
    view: str = "table"
    description: str = ""
    people: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    favourite_of: tuple[str, ...] = ()
    first_of: tuple[str, ...] = ()
    deleted_at: str = ""

    def is_visible_to(self, user: User) -> bool:
        """Whether it is there for the user."""
        if self.deleted_at:
            return False
        return self.shared or self.owner == user.name or user.name in self.people or bool(user.roles & {*self.roles})

    @property
    def names(self) -> list[str]:
        """The people and roles that it is shared with, for people."""
        return [*self.people, *(f"role {role}" for role in self.roles)]

    def asked_by(self, user: User) -> State | None:
        """What it asks; None where this release cannot read it, or where it asks by fields masked for the user."""
        try:
            state = parse(parse_qsl(self.query))
        except BadLinkError:
            return None
        return None if user.is_masked and state.asked_by.intersection(MASKED) else state


@dataclass(frozen=True)
class Details:
    """What a person says of a report beside what it asks; None keeps what it has. Checked when it is made.

    Raises:
        SavedReportError: if the description is too long, or there are too many people or roles.
    """

    description: str | None = None
    shared: bool | None = None
    people: Iterable[str] | None = None
    roles: Iterable[str] | None = None

    def said(self) -> dict[str, Any]:
        """The values that are said, by the names of SavedReport."""
        found: dict[str, Any] = {} if self.shared is None else {"shared": self.shared}
        if self.description is not None:
            found["description"] = text = " ".join(self.description.split())
            if text and (len(text) > LONGEST_DESCRIPTION or not text.isprintable()):
                raise SavedReportError(f"the description may have {LONGEST_DESCRIPTION} characters")
        if self.people is not None:
            found["people"] = _names(self.people, "people")
        if self.roles is not None:
            found["roles"] = _names((one.lower() for one in self.roles), "roles")
        return found


NOTHING_SAID = Details()


def name_of(text: str) -> str:
    """The name that a person typed.

    Raises:
        SavedReportError: if it is blank, too long, or has what cannot be seen.
    """
    name = " ".join(text.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise SavedReportError(f"the name must have 1 to {LONGEST_NAME} characters")
    return name


def _names(texts: Iterable[str], what: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(one for text in texts if (one := text.strip())))
    if len(found) > _MOST_NAMES or any(len(one) > _LONGEST_OF_THEM for one in found):
        raise SavedReportError(f"it can be shared with {_MOST_NAMES} {what} by name; share it with everybody")
    return found
