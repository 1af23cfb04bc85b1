"""Sets up what a form asks for: a subscription to a saved report, or a question; and stops, starts and removes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from activity_audit.base.hours import iso, now_utc
from activity_audit.report.access.permissions import User
from activity_audit.report.delivery import standing
from activity_audit.report.delivery.book import Book, Question, Subscription
from activity_audit.report.delivery.periods import EVERY, current
from activity_audit.report.delivery.questions import COMPARISONS, FIELDS, WINDOWS
from activity_audit.report.delivery.send import Folder
from activity_audit.report.delivery.standing import StandingError
from activity_audit.warehouse.events.masked import FIELDS as MASKED

if TYPE_CHECKING:
    from activity_audit.report.saved.reports import SavedReport
    from activity_audit.settings.core import Settings

FORMATS = ("csv", "xlsx", "pdf", "parquet")
MOST_RECIPIENTS = 20
_MOST = 50
_MOST_NUMBER = 10**12
_FOLDER = re.compile(r"[\w][\w .-]{0,79}(/[\w][\w .-]{0,79}){0,5}")


def report_of(settings: Settings, user: User, report_id: str) -> SavedReport:
    """The saved report of this id that the user may use.

    Raises:
        StandingError: if there is none.
    """
    for one in standing.reports_of(settings, user):
        if one.id == report_id:
            return one
    raise StandingError("choose a saved report that is yours, or shared; this one may have been deleted")


def subscription(settings: Settings, user: User, said: Mapping[str, Any]) -> Subscription:
    """The subscription that a form says, which is not kept yet; the first period is the one that is under way.

    Raises:
        StandingError: saying what must be different, and what is allowed.
    """
    report = report_of(settings, user, str(said.get("report", "")))
    standing.require(user, Subscription)
    every, format = _one(said, "every", EVERY), _one(said, "format", FORMATS)
    by_mail = str(said.get("to", "")) == "mail"
    _require_room(settings, user)
    return Subscription(
        **standing.new(report, user),
        every=every,
        format=format,
        folder="" if by_mail else _folder(settings, str(said.get("folder", "")).strip().strip("/")),
        recipients=_recipients(settings, str(said.get("recipients", ""))) if by_mail else "",
        next_from=iso(current(every, now_utc())),
    )


def question(settings: Settings, user: User, said: Mapping[str, Any]) -> Question:
    """The question that a form says, which is not kept yet.

    Raises:
        StandingError: saying what must be different.
    """
    report = report_of(settings, user, str(said.get("report", "")))
    standing.require(user, Question)
    field = str(said.get("field", ""))
    if field and field not in FIELDS:
        raise StandingError(f"events cannot be counted by “{field}”")
    if user.is_masked and field in MASKED:
        raise StandingError(f"{field} is masked for you")
    number = str(said.get("number", ""))
    if not (number.isascii() and number.isdigit() and int(number[:20]) <= _MOST_NUMBER):
        raise StandingError(f"the number must be a whole number from 0 to {_MOST_NUMBER:,}")
    comparison = _one(said, "comparison", COMPARISONS)
    if comparison == "least" and int(number) == 0:
        raise StandingError("at least 0 is always so; choose at least 1, or more than 0")
    _require_room(settings, user)
    return Question(
        **standing.new(report, user),
        field=field,
        every=_one(said, "every", WINDOWS),
        comparison=comparison,
        number=int(number),
        owed="",
        problem=None,
    )


def _require_room(settings: Settings, user: User) -> None:
    book, mine = Book(settings), "owner = ?"
    if len(book.find(Subscription, mine, [user.name])) + len(book.find(Question, mine, [user.name])) >= _MOST:
        raise StandingError(f"you have {_MOST} deliveries and alerts already; remove one first")


def _one(said: Mapping[str, Any], name: str, known: Any) -> Any:
    value = str(said.get(name, ""))
    if value not in known:
        raise StandingError(f"“{name}” must be one of {', '.join(known)}, not “{value}”")
    return value


def _recipients(settings: Settings, text: str) -> str:
    delivery = settings.delivery
    if delivery.mail is None:
        raise StandingError("mail is not set up here: AUDIT_DELIVERY_SMTP and AUDIT_DELIVERY_DOMAINS must be set")
    found = list(dict.fromkeys(re.split(r"[\s,;]+", text.strip()) if text.strip() else []))
    if not 1 <= len(found) <= MOST_RECIPIENTS:
        raise StandingError(f"name 1 to {MOST_RECIPIENTS} addresses")
    for address in found:
        if not delivery.may_mail(address):
            raise StandingError(f"“{address}” is not an address of {' or '.join(delivery.domains)}")
    return " ".join(found)


def _folder(settings: Settings, name: str) -> str:
    root = settings.delivery.path
    if root is None:
        raise StandingError("folders are not set up here: AUDIT_DELIVERY_PATH must be set")
    if name and not _FOLDER.fullmatch(name):
        raise StandingError("a folder has letters, digits, spaces, dots, - and _, and / between up to six names")
    if not Folder(root, name).is_below:
        raise StandingError(f"the folder “{name}” leads out of the folder for deliveries")
    return name
