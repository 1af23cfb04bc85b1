"""Deliveries: the subscriptions and how they go, the form to subscribe to a saved report, and stopping them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from activity_audit.base.hours import iso, now_utc
from activity_audit.report.access.permissions import EDIT, EXPORT, requires
from activity_audit.report.delivery import standing
from activity_audit.report.delivery.book import Book, Standing, Subscription, at
from activity_audit.report.delivery.periods import EVERY, current
from activity_audit.report.delivery.shown import subscriptions, where
from activity_audit.report.delivery.standing import StandingError
from activity_audit.report.delivery.subscribe import FORMATS, MOST_RECIPIENTS, report_of, subscription
from activity_audit.report.trail import DELIVERY
from activity_audit.report.web.templating import render

PATH = "/deliveries"
# What a button does, and the activity that the trail has for it.
CHANGES = {"stop": "Stopped", "start": "Started", "remove": "Removed"}


def routes() -> list[BaseRoute]:
    """All of it."""
    return [
        Route(PATH, page, methods=["GET"]),
        Route(PATH, subscribe, methods=["POST"]),
        Route(f"{PATH}/{{id}}/{{change}}", change, methods=["POST"]),
    ]


@requires(EDIT)
def page(request: Request) -> Response:
    """The list; with the id of a saved report as `report`, the form to subscribe to it too."""
    settings, user = request.app.state.settings, request.state.user
    standing.seen(Book(settings), user)
    chosen = chosen_report(request)
    found = [one for one in subscriptions(settings) if not user.is_masked or one.subscription.owner == user.name]
    delivery = settings.delivery
    return render(
        request,
        "deliveries.html",
        report=chosen if user.may(EXPORT) else None,
        may_subscribe=user.may(EXPORT),
        found=found,
        every=EVERY,
        formats=FORMATS,
        has_mail=delivery.mail is not None,
        domains=delivery.domains,
        has_folder=delivery.path is not None,
        most=MOST_RECIPIENTS,
    )


@requires(EDIT)
async def subscribe(request: Request) -> Response:
    """Subscribe to the saved report of the form: `every`, `format`, and `to` mail or folder."""
    form = await request.form()

    def work() -> None:
        settings, user = request.app.state.settings, request.state.user
        made = subscription(settings, user, form)
        text = f"{made.report_name}, {EVERY[made.every]}, {made.format}, to {where(settings, made)}"
        request.app.state.trail.changed_standing(user, DELIVERY, "Subscribed", made.id, text)
        Book(settings).add(made)

    await refusing(work)
    return RedirectResponse(PATH, 303)


@requires(EDIT)
async def change(request: Request) -> Response:
    """Stop one, start it again with the period that is under way, or remove it with its history."""

    def started(one: Subscription) -> dict[str, Any]:
        return {"next_from": iso(current(one.every, now_utc()))}

    await changed(request, Subscription, DELIVERY, started)
    return RedirectResponse(PATH, 303)


def chosen_report(request: Request) -> Any:
    """The saved report that the URL names; None where it names none.

    Raises:
        HTTPException: 404 if the user has none of this id.
    """
    report_id = request.query_params.get("report")
    if not report_id:
        return None
    try:
        return report_of(request.app.state.settings, request.state.user, report_id)
    except StandingError as error:
        raise HTTPException(404, str(error)) from None


async def changed(
    request: Request, kind: type[Standing], entity: str, started: Callable[[Any], dict[str, Any] | None]
) -> None:
    """Do what the URL says to a subscription or a question, and put it on record.

    `started` is asked which other values one has that is started again; None if it has changed it itself.
    """
    settings, user = request.app.state.settings, request.state.user
    activity = CHANGES.get(request.path_params["change"])
    if activity is None:
        raise HTTPException(404, "there is nothing of this kind to be done")

    def work() -> None:
        book = Book(settings)
        one = standing.changeable(book, kind, request.path_params["id"], user)
        if activity == "Started":
            if one.owner != user.name:
                raise StandingError("only its owner may start it again")
            standing.require(user, kind)
        request.app.state.trail.changed_standing(user, entity, activity, one.id, f"{one.report_name}, of {one.owner}")
        match activity:
            case "Stopped":
                book.change(one, stopped_at=at(now_utc()), stopped_why=None)
            case "Removed":
                book.remove(one)
            case _:
                standing.seen(book, user)
                if (values := started(one)) is not None:
                    book.change(one, stopped_at=None, stopped_why=None, **values)

    await refusing(work)


async def refusing(work: Callable[[], None]) -> None:
    """Do work that may be refused, in a thread.

    Raises:
        HTTPException: 409 if it is refused, with the reason.
    """
    try:
        await run_in_threadpool(work)
    except StandingError as error:
        raise HTTPException(409, str(error)) from None
