"""The quality pages: every feed and hour, what is in quarantine and why, what nobody documented, what was checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.base.hours import now_utc
from activity_audit.report.access.permissions import QUARANTINE, VIEW, requires
from activity_audit.report.queries import quality
from activity_audit.report.queries.coverage import coverage_of_days
from activity_audit.report.queries.trust import Trust, trust
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import recorded
from activity_audit.report.web.heat import Covered, Row, day_rows, days_rows
from activity_audit.report.web.pages.asking import ask, state_of
from activity_audit.report.web.places import decode_key, encode_key
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import BadLinkError
from activity_audit.warehouse.coverage import total

_DAY = timedelta(days=1)
_DAYS = 14
# So that there is a fortnight before each day, and a day after it.
_FIRST_DAY, _LAST_DAY = date.min + _DAYS * _DAY, date.max - _DAY
_RECORDS = 25


@dataclass(frozen=True)
class _Hours:
    day: date
    cells: list[quality.Cell]
    by_hour: list[Row]
    by_day: Covered
    trust: Trust


@requires(VIEW)
async def heat_map(request: Request) -> Response:
    """Feeds by hours of one day, and by days of the fortnight that ends with it."""
    state_of(request, ("day",))
    asked = _day(request.query_params.get("day"))

    def work(query: Query) -> _Hours:
        newest = quality.newest_feed_hour(query)
        day = asked or (newest.date() if newest else now_utc().date())
        end = datetime.combine(day + _DAY, time(), UTC)
        cells, now = quality.heat_map(query, end - _DAYS * _DAY, end), now_utc()
        by_hour = coverage_of_days(query, end - _DAY, end, "hour", now)
        by_day = coverage_of_days(query, end - _DAYS * _DAY, end, "day", now)
        return _Hours(day, cells, day_rows(cells, by_hour, day), by_day, _trust(query, request))

    found = await ask(request, work)
    day = found.day
    days = [day - _DAY * back for back in reversed(range(_DAYS))]
    return render(
        request,
        "quality.html",
        tab="hours",
        trust=found.trust,
        day=day,
        earlier=day - _DAY,
        later=day + _DAY,
        days=days,
        wrong=[cell for cell in found.cells if cell.detail and cell.feed_hour_utc.date() == day],
        by_hour=found.by_hour,
        by_day=days_rows(found.cells, found.by_day, days),
        covered=total(found.by_day.values()),
    )


@requires(QUARANTINE)
@recorded.quarantine
async def quarantine(request: Request) -> Response:
    """Records in quarantine, with every reason that holds now: the beginning of each, or all of the `only` one."""
    state_of(request, ("reason", "feed", "after", "only"))
    reason, feed = request.query_params.get("reason") or None, request.query_params.get("feed") or None
    after = decode_key(request.query_params.get("after"), quality.QUARANTINE_KEY, whole=True)

    only = decode_key(request.query_params.get("only"), quality.QUARANTINE_KEY, whole=True)

    def work(query: Query) -> tuple[list[quality.Quarantined], list[tuple[str, int]], Trust]:
        records = quality.quarantine(query, reason=reason, feed=feed, after=after, only=only, limit=_RECORDS + 1)
        return records, quality.reasons(query), _trust(query, request)

    records, reasons, state = await ask(request, work)
    shown = records[:_RECORDS]
    return render(
        request,
        "quarantine.html",
        tab="quarantine",
        trust=state,
        records=shown,
        only=only,
        place=lambda record: encode_key(record.key, whole=True),
        at_most=_RECORDS,
        is_first=after is None,
        reasons=reasons,
        reason=reason,
        feed=feed,
        after=encode_key(shown[-1].key, whole=True) if len(records) > _RECORDS else None,
    )


@requires(VIEW)
async def drift(request: Request) -> Response:
    """What was seen and is not in the catalogue."""
    state_of(request)
    found, state = await ask(request, lambda query: (quality.drift(query), _trust(query, request)))
    return render(request, "drift.html", tab="drift", trust=state, drift=found, most=quality.MOST_DRIFT)


@requires(VIEW)
async def checks(request: Request) -> Response:
    """What the newest run checked."""
    state_of(request)
    found, state = await ask(request, lambda query: (quality.checks(query), _trust(query, request)))
    return render(request, "checks.html", tab="checks", trust=state, checks=found)


def _trust(query: Query, request: Request) -> Trust:
    return trust(query, request.app.state.settings.freshness)


def _day(text: str | None) -> date | None:
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        raise BadLinkError(f"“{text}” is not a day; write it as 2026-05-31") from None
    if day and not _FIRST_DAY < day < _LAST_DAY:
        raise BadLinkError(f"{day} is outside the calendar of the map")
    return day
