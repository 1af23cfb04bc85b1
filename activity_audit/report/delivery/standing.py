"""Whether what a reader set up goes on: who they are by now, what they may, and what the saved report asks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from uuid import uuid4

from activity_audit.base.hours import now_utc, parse_time
from activity_audit.report import time_fields
from activity_audit.report.access.permissions import EDIT, EXPORT, LOCAL_USER, PERMISSIONS, VIEW, User
from activity_audit.report.delivery.book import Book, Question, Standing, Subscription, at, change_in
from activity_audit.report.saved.book import SavedReports
from activity_audit.report.saved.reports import SavedReport
from activity_audit.report.web.urls import FROM_TO, State, parse

if TYPE_CHECKING:
    from activity_audit.settings.core import Settings

# What a reader needs for a subscription, and for a question, whose findings are looked at on a page.
NEEDED: dict[type[Standing], tuple[str, ...]] = {Subscription: (VIEW, EXPORT, EDIT), Question: (VIEW, EDIT)}
# A provider, or a proxy, says what a reader may only when they come. Who has not come for so long may nothing.
BELIEVED = timedelta(days=90)


class StandingError(ValueError):
    """Something cannot be set up or changed; the message says why."""


class StoppedError(Exception):
    """It cannot go on before a person does something; the message says why."""


def new(report: SavedReport, user: User) -> dict[str, Any]:
    """The values of a new one, of this saved report, that has this owner.

    Raises:
        StandingError: if the report asks by fields that are masked for the user.
    """
    if user.is_masked and report.asked_by(user) is None:
        raise StandingError("the saved report asks by fields that are masked for you")
    now = at(now_utc())
    return {
        "id": str(uuid4()), "report_id": report.id, "report_name": report.name, "owner": user.name,
        **_allowed(user), "seen_at": now,
        "created_at": now, "stopped_at": None, "stopped_why": None,
    }  # fmt: skip


def require(user: User, kind: type[Standing]) -> None:
    """Have the user be one who may set it up.

    Raises:
        StandingError: naming the permission that they do not have.
    """
    for permission in NEEDED[kind]:
        if not user.may(permission):
            raise StandingError(f"{user.name} does not have the permission “{permission}”")


def seen(book: Book, user: User) -> None:
    """Keep what a reader who is here may do, for what they set up."""
    now = at(now_utc())
    where = "owner = ?"
    known = [*book.find(Subscription, where, [user.name]), *book.find(Question, where, [user.name])]
    said = _allowed(user)
    old = [one for one in known if any(getattr(one, name) != value for name, value in said.items())]
    # Once a day is enough for who comes every hour.
    old += [one for one in known if one not in old and one.seen_at[:10] != now[:10]]
    if old:
        with book.changing() as connection:
            for one in old:
                change_in(connection, one, **said, seen_at=now)  # type: ignore[arg-type]


def _allowed(user: User) -> dict[str, Any]:
    """What a reader may do and see, as it is kept. A name with a comma cannot be."""
    names = user.permissions | {role for role in user.roles if "," not in role}
    return {"permissions": ",".join(sorted(names)), "is_masked": int(user.is_masked)}


def reports_of(settings: Settings, user: User) -> list[SavedReport]:
    """The saved reports that a reader may use: their own, and those that are shared with them."""
    return SavedReports(settings.saved_file).visible_to(user)


def owner_now(settings: Settings, standing: Standing) -> User:
    """The owner as they are now.

    Raises:
        StoppedError: if they are not a reader any more, or lack a permission.
        UsersFileError: if the users' file cannot be read.
    """
    user = _known(settings, standing)
    try:
        require(user, type(standing))
    except StandingError as error:
        raise StoppedError(str(error)) from None
    return user


def _known(settings: Settings, standing: Standing) -> User:
    report = settings.report
    if report.auth == "token":
        if standing.owner != LOCAL_USER:
            raise StoppedError(f"{standing.owner} is not a user of this report any more")
        return User(LOCAL_USER, frozenset(PERMISSIONS))
    if report.auth == "users" and report.users_file:
        from activity_audit.report.access.users import Users

        found = Users(report.users_file).find(standing.owner)
        if found is None:
            raise StoppedError(f"{standing.owner} is not a user of this report any more")
        return found
    if now_utc() - parse_time(standing.seen_at) > BELIEVED:
        raise StoppedError(
            f"{standing.owner} has not opened the pages of saved reports for {BELIEVED.days} days, so it is not known "
            "what they may"
        )
    names = frozenset(standing.permissions.split(","))
    return User(standing.owner, names.intersection(PERMISSIONS), bool(standing.is_masked), names)


def asked(settings: Settings, standing: Standing, user: User) -> tuple[SavedReport, State]:
    """The saved report as it is now, and what it asks.

    Raises:
        StoppedError: if it was deleted, or is not the user's to read any more.
        BadLinkError: if this release cannot read what it asks.
        SavedReportError: if the file of saved reports is damaged.
    """
    report = next((one for one in reports_of(settings, user) if one.id == standing.report_id), None)
    if report is None:
        raise StoppedError(f"the saved report “{standing.report_name}” was deleted, or is not shared any more")
    state = parse(parse_qsl(report.query))
    if report.asked_by(user) is None:
        raise StoppedError(f"the saved report “{report.name}” asks by fields that are masked for {user.name}")
    return report, state


def of_period(state: State, start: datetime, end: datetime) -> State:
    """The same question, of these hours in place of the period that it has."""
    opened = state.group[: len(state.path)]
    level = next((number for number, name in enumerate(opened) if name in time_fields.UNITS), len(opened))
    is_of_days = not (start.hour or end.hour)
    return replace(
        state.to_level(level),
        period=FROM_TO,
        first_day=start.date(),
        last_day=(end - timedelta(microseconds=1)).date(),
        hour=None,
        zoom=() if is_of_days else ((start, end),),
    )


def changeable(book: Book, kind: type[Any], standing_id: str, user: User) -> Any:
    """The one of this id, which the user may stop, begin again and remove: their own, or all for an administrator.

    Raises:
        StandingError: if there is none.
    """
    found = book.find(kind, "id = ?", [standing_id])
    if not found or not (found[0].owner == user.name or user.permissions.issuperset(PERMISSIONS)):
        raise StandingError("you have none of this id; it may have been removed in the meantime")
    return found[0]
