"""The calendar of the prompt: a month with the days that are loaded, as a piece of the page."""

from __future__ import annotations

import calendar
import re
from datetime import date, timedelta

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.base.hours import EARLIEST_YEAR, now_utc
from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.queries.loaded_days import Loaded, loaded_days
from activity_audit.report.queries.trust import known
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web.pages.query_threads import ask
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import BadLinkError

SAYS: dict[Loaded, str] = {"loaded": "loaded", "partly": "loaded in part", "not": "not loaded"}
_MONTH = re.compile("([0-9]{4})-(0[1-9]|1[0-2])")
_LATEST_YEAR = 9998


@requires(VIEW)
async def page(request: Request) -> Response:
    """The `month`, as 2026-05; without one that of the newest data."""
    text = request.query_params.get("month", "")
    found = _MONTH.fullmatch(text)
    if text and not (found and EARLIEST_YEAR <= int(found[1]) <= _LATEST_YEAR):
        raise BadLinkError(f"“{text}” is not a month; write it as 2026-05")

    def work(query: Query) -> tuple[date, dict[date, Loaded]]:
        newest = (known(query).data_through or now_utc()) - timedelta(microseconds=1)
        year, month = (int(found[1]), int(found[2])) if found else (newest.year, newest.month)
        return date(year, month, 1), loaded_days(query, year, month, now_utc())

    first, days = await ask(request, work)
    return render(
        request,
        "days.html",
        month=first,
        weeks=calendar.Calendar().monthdatescalendar(first.year, first.month),
        weekdays=list(zip(calendar.day_abbr, calendar.day_name, strict=True)),
        days=days,
        says=SAYS,
        before=f"{first - timedelta(days=1):%Y-%m}",
        after=f"{first + timedelta(days=31):%Y-%m}",
    )
