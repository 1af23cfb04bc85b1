"""The pages for errors: what happened, why, and what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from activity_audit.base.shown_text import visible
from activity_audit.report.access.permissions import ForeignFormError
from activity_audit.report.queries.warehouse import QueryCancelledError, QueryTimeoutError
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import BadLinkError
from activity_audit.warehouse.events.long_texts import NoSuchTextError
from activity_audit.warehouse.lake import NothingPublishedError, OlderReleaseError, WarehouseError

# What nginx and others call a request whose client has gone.
_CLIENT_GONE = 499
_AGAIN = "Try again."
_PLACES = ("snapshot", "now", "after", "before", "index")
_TEXTS = {
    401: ("You are not signed in", "The session has ended, or there was none.", "Sign in, and open the page again."),
    403: ("You may not see this", "Your role does not have the permission that this page needs.",
          "Ask the administrator of the report's users for it."),
    404: ("There is no such page", "Nothing is at this address.", "Check the address, or start with the report."),
    405: ("This cannot be done here", "The page does not take this kind of request.", "Start with the report."),
}  # fmt: skip


def message(request: Request, status: int, title: str, why: str, what_to_do: str, again: str | None = None) -> Response:
    """The message as a page, or as JSON for a script."""
    # What other programs say may have several lines.
    why = " ".join(why.split("\n"))
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"title": title, "why": visible(why), "what_to_do": what_to_do}, status)
    return render(request, "message.html", status, title=title, why=why, what_to_do=what_to_do, again=again)


def exception_handlers() -> dict[Any, Callable[[Request, Any], Awaitable[Response]]]:
    """For Starlette: what is answered to each error that a page may end in."""
    return {
        BadLinkError: _bad_link,
        NoSuchTextError: _bad_link,
        NothingPublishedError: _nothing_published,
        OlderReleaseError: _older_release,
        WarehouseError: _warehouse,
        QueryTimeoutError: _timeout,
        QueryCancelledError: _cancelled,
        ForeignFormError: _foreign_form,
        HTTPException: _http,
        500: _unexpected,
    }


async def _bad_link(request: Request, error: ValueError) -> Response:
    return message(request, 400, "The link cannot be read", f"{_sentence(str(error))}.",
                   "Open the report, choose again, and copy the new link.")  # fmt: skip


async def _nothing_published(request: Request, error: NothingPublishedError) -> Response:
    return message(request, 503, "Nothing is published yet", "No run has brought events into the warehouse.",
                   "Run “audit run”, and come back: the report needs no restart.", _url(request))  # fmt: skip


async def _older_release(request: Request, error: OlderReleaseError) -> Response:
    return message(request, 503, "The warehouse is of an older release", f"{_sentence(str(error))}.",
                   "Run “audit run”, and come back: the report needs no restart.", _url(request))  # fmt: skip


async def _warehouse(request: Request, error: WarehouseError) -> Response:
    return message(request, 503, "The warehouse cannot be read", f"{_sentence(str(error))}.",
                   "Try again in a moment. If this persists, tell who runs the warehouse.", _url(request))  # fmt: skip


async def _timeout(request: Request, error: QueryTimeoutError) -> Response:
    return message(request, 504, "This took too long", f"{_sentence(str(error))}.",
                   "Choose a shorter period, fewer applications, or the order by time.", _url(request))  # fmt: skip


async def _cancelled(request: Request, error: QueryCancelledError) -> Response:
    return message(request, _CLIENT_GONE, "Cancelled", "The query was stopped before it was done.",
                   "Nothing was changed.", _url(request))  # fmt: skip


async def _foreign_form(request: Request, error: ForeignFormError) -> Response:
    return message(request, 403, "The form was not accepted", f"{_sentence(error.detail)}.",
                   "Nothing was changed. Go back, reload the page, and send the form again.")  # fmt: skip


async def _http(request: Request, error: HTTPException) -> Response:
    title, why, what_to_do = _TEXTS.get(error.status_code, ("This did not work", f"{_sentence(error.detail)}.", _AGAIN))
    if error.detail != HTTPStatus(error.status_code).phrase:
        why = f"{_sentence(error.detail)}."
    answer = message(request, error.status_code, title, why, what_to_do)
    answer.headers.update(error.headers or {})
    return answer


async def _unexpected(request: Request, error: Exception) -> Response:
    return message(request, 500, "Something went wrong", "The report failed; the log of its server has the reason.",
                   "Try again. If this persists, tell the person who runs the report.", _url(request))  # fmt: skip


def _url(request: Request) -> str | None:
    if request.method != "GET":
        return None
    # The snapshot of a page that was open for long may be what is not there any more.
    kept = [(name, text) for name, text in request.query_params.multi_items() if name not in _PLACES]
    return request.url.path + (f"?{urlencode(kept)}" if kept else "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".")
