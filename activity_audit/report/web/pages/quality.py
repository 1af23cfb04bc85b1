"""The quality pages: feeds by hour, one feed hour, quarantine by reason, catalogue drift, and checks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.base import catalogue
from activity_audit.base.hours import naive, now_utc
from activity_audit.publish import data_docs
from activity_audit.report.access.permissions import QUARANTINE, VIEW, requires
from activity_audit.report.heat import Cell, Row, rows
from activity_audit.report.queries import quality
from activity_audit.report.queries.coverage import coverage_of_days
from activity_audit.report.queries.trust import known, trust
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import audited
from activity_audit.report.web.cursors import decode_key, encode_key
from activity_audit.report.web.pages.query_threads import ask, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import BadLinkError, day_of, hour_code, hour_of
from activity_audit.warehouse.coverage import Coverage, total
from activity_audit.warehouse.quarantine import MEANINGS
from activity_audit.warehouse.verdicts import Condition

_DAY = timedelta(days=1)
_DAYS = 14
# So that there is a fortnight before each day, and a day after it.
_FIRST_DAY, _LAST_DAY = date.min + _DAYS * _DAY, date.max - _DAY
_RECORDS = 25


@dataclass(frozen=True)
class _Hours:
    day: date
    days: list[date]
    wrong: list[Cell]
    of_month: Coverage
    by_hour: list[Row]
    by_day: list[Row]
    covered: Coverage
    trust: Condition


@requires(VIEW)
async def heat_map(request: Request) -> Response:
    """Feeds by hours of one day, by days of the fortnight that ends with it, and what is wrong in its month."""
    state_of(request, ("day",))
    asked = _day(request.query_params.get("day"))

    def work(query: Query) -> _Hours:
        newest, now = known(query).newest, now_utc()
        day = asked or (newest.date() if newest else now.date())
        end = datetime.combine(day + _DAY, time(), UTC)
        hours = [datetime.combine(day, time(hour)) for hour in range(24)]
        days = [datetime.combine(day - _DAY * back, time()) for back in reversed(range(_DAYS))]
        cells = quality.heat_map(query, end - _DAY, end)
        month = datetime.combine(day.replace(day=1), time(), UTC), datetime.combine(_next_month(day), time(), UTC)
        of_month = total(coverage_of_days(query, *month, None, now).values())
        wrong = quality.wrong_hours(query, *month)
        by_hour = rows("hour", hours, cells, coverage_of_days(query, end - _DAY, end, "hour", now))
        covered = coverage_of_days(query, end - _DAYS * _DAY, end, "day", now)
        by_day = rows("day", days, quality.heat_map(query, end - _DAYS * _DAY, end, "day"), covered)
        dates = [one.date() for one in days]
        return _Hours(day, dates, wrong, of_month, by_hour, by_day, total(covered.values()), trust(query, now))

    found = await ask(request, work)
    return render(
        request,
        "quality.html",
        tab="hours",
        trust=found.trust,
        day=found.day,
        earlier=found.day - _DAY,
        later=found.day + _DAY,
        month_before=_month_before(found.day),
        month_after=_month_after(found.day),
        days=found.days,
        wrong=found.wrong[: quality.MOST_WRONG],
        has_more=len(found.wrong) > quality.MOST_WRONG,
        of_month=found.of_month,
        by_hour=found.by_hour,
        by_day=found.by_day,
        covered=found.covered,
    )


@requires(VIEW)
async def feed_hour(request: Request) -> Response:
    """One feed hour: its figures, its deliveries, and the ways to its events and its quarantine."""
    state_of(request, ("feed", "hour"))
    feed, hour = request.query_params.get("feed") or "", _hour(request.query_params.get("hour"))
    if not feed or hour is None:
        raise BadLinkError("a feed hour has a feed and an hour; choose one on the quality page")

    def work(query: Query) -> tuple[quality.FeedHour | None, list[quality.Delivery], Condition]:
        return quality.feed_hour(query, feed, hour), quality.deliveries(query, feed, hour), trust(query)

    found, delivered, state = await ask(request, work)
    return render(
        request,
        "feed_hour.html",
        tab="hours",
        trust=state,
        feed=feed,
        hour=hour,
        application=next((one.name for one in catalogue.applications() if one.slug == feed), None),
        found=found,
        deliveries=delivered[: quality.MOST_DELIVERIES],
        has_more=len(delivered) > quality.MOST_DELIVERIES,
    )


@requires(QUARANTINE)
@audited.quarantine
async def quarantine(request: Request) -> Response:
    """Records in quarantine, with every reason that holds now: the beginning of each, or all of the `only` one."""
    state_of(request, ("reason", "feed", "hour", "after", "only"))
    reason, feed = request.query_params.get("reason") or None, request.query_params.get("feed") or None
    hour = _hour(request.query_params.get("hour"))
    after = decode_key(request.query_params.get("after"), quality.QUARANTINE_KEY, whole=True)

    only = decode_key(request.query_params.get("only"), quality.QUARANTINE_KEY, whole=True)

    def work(query: Query) -> tuple[list[quality.Quarantined], list[tuple[str, int]], Condition]:
        records = quality.quarantine(
            query, reason=reason, feed=feed, hour=hour, after=after, only=only, limit=_RECORDS + 1
        )
        return records, quality.reasons(query), trust(query)

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
        reason_meanings=MEANINGS,
        in_quarantine=state.quarantined,
        reason=reason,
        feed=feed,
        hour=hour,
        link=partial(_quarantine_link, reason=reason, feed=feed, hour=hour),
        after=encode_key(shown[-1].key, whole=True) if len(records) > _RECORDS else None,
    )


@requires(VIEW)
async def drift(request: Request) -> Response:
    """What was seen and is not in the catalogue."""
    state_of(request)
    found, state = await ask(request, lambda query: (quality.drift(query), trust(query)))
    return render(request, "drift.html", tab="drift", trust=state, drift=found, most=quality.MOST_DRIFT)


@requires(VIEW)
async def checks(request: Request) -> Response:
    """What the newest run checked."""
    state_of(request)
    found, state = await ask(request, lambda query: (quality.checks(query), trust(query)))
    suites = data_docs.rules(request.app.state.settings)
    why = {(suite, rule.id): rule.why for suite, rules in suites.items() for rule in rules}
    return render(request, "checks.html", tab="checks", trust=state, checks=found, why=why)


def _quarantine_link(**asked: object) -> str:
    """The page of the quarantine with these parameters; those that are None are left out."""
    said = {name: hour_code(value) if isinstance(value, datetime) else value for name, value in asked.items() if value}
    return f"/quality/quarantine?{urlencode(said)}" if said else "/quality/quarantine"


def _hour(text: str | None) -> datetime | None:
    return naive(hour_of(text)) if text else None


def _month_before(day: date) -> date:
    """The last day of the month before, so that its fortnight is of that month."""
    return max(day.replace(day=1) - _DAY, _FIRST_DAY + _DAY)


def _month_after(day: date) -> date:
    """The last day of the month after."""
    return min(_next_month(_next_month(day)) - _DAY, _LAST_DAY - _DAY)


def _next_month(day: date) -> date:
    """The first day of the month after; at the end of the calendar, its last."""
    return (day.replace(day=1) + 31 * _DAY).replace(day=1) if (day.year, day.month) < (9999, 12) else _LAST_DAY


def _day(text: str | None) -> date | None:
    day = day_of(text) if text else None
    if day and not _FIRST_DAY < day < _LAST_DAY:
        raise BadLinkError(f"{day} is outside the calendar of the map")
    return day
