"""The charts of the events: over time, and the values with the most events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.base.hours import aware, iso, now_utc
from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.bars import bars, label, long_label
from activity_audit.report.queries.charts import Point, looked_over_time, top, unit_of
from activity_audit.report.queries.groups import Group
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import audited
from activity_audit.report.web.pages.layout import OTHERS, Frame, asks_again, chips, fields_of, frame, prompt_text
from activity_audit.report.web.pages.query_threads import ask, moment_of, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import FROM_TO, State

_TOP = {"entity": "Top entities", "activity": "Top activities", "triggered_by": "Top users and automations"}
_DAY = timedelta(days=1)
_MOST_LINKED = 30


@dataclass(frozen=True)
class _Found:
    state: State
    frame: Frame
    points: list[Point]
    tops: dict[str, list[Group]]
    snapshot: int


@requires(VIEW)
@audited.run
@asks_again
async def page(request: Request) -> Response:
    """All pictures of what the filters keep; each bar is a link to a narrower filter."""
    state = state_of(request, OTHERS)
    now = await moment_of(request, state)
    filters = state.filters(now)

    def work(query: Query) -> _Found:
        tops = {field: top(query, filters, field, 10) for field in fields_of(request, _TOP)}
        named, points = state.named(query.labels.of), looked_over_time(query, filters, now_utc())
        return _Found(named, frame(query, request, named, filters), points, tops, query.snapshot.snapshot_id)

    found = await ask(request, work)
    state, unit, points = found.state, unit_of(filters.end - filters.start), found.points
    # Each point has two links, and a page of hundreds of long ones would be long.
    is_linked = state.is_short or len(points) <= _MOST_LINKED
    labels = [label(point.at, unit) for point in points]
    first, last = filters.start.date(), (filters.end - timedelta(microseconds=1)).date()
    return render(
        request,
        "pictures.html",
        view="pictures",
        state=state,
        page="/pictures",
        frame=found.frame,
        chips=chips(state, "/pictures"),
        about=prompt_text(state, filters, found.frame.applications),
        unit=unit,
        snapshot=found.snapshot,
        now=iso(now),
        chart=bars([point[:3] for point in points], labels),
        points=[
            (
                long_label(point.at, unit),
                point.success,
                point.failure,
                narrowed(state, point.at, unit, first, last).url("/pictures") if is_linked else None,
                point.looked,
            )
            for point in points
        ],
        total=sum(point.success + point.failure for point in points),
        tops=[(field, title, found.tops[field]) for field, title in _TOP.items() if field in found.tops],
        filtered=lambda field, value: state.with_list(field, (value,)).url("/pictures"),
    )


def narrowed(state: State, at: datetime, unit: str, first: date, last: date) -> State:
    """The state of one unit of time, plain UTC, no further than the period that was shown."""
    day = at.date()
    if unit == "hour":
        return state.of_day(day, aware(at))
    end = {"day": day, "week": day + 6 * _DAY, "month": (day.replace(day=28) + 4 * _DAY).replace(day=1) - _DAY}[unit]
    return replace(state, period=FROM_TO, first_day=max(day, first), last_day=min(end, last), hour=None)
