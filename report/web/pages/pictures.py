"""Pictures of the events: over time, and the values with the most of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from orchestration.hours import aware, iso
from report.access.permissions import VIEW, requires
from report.bars import bars, label, long_label
from report.queries.charts import Series, over_time, top
from report.queries.groups import Group
from report.queries.warehouse import Query
from report.web import recorded
from report.web.pages.asking import ask, moment_of, state_of
from report.web.pages.frame import OTHERS, Frame, chips, frame, prompt_text
from report.web.pages.prompt import asks_again
from report.web.templating import render
from report.web.urls import FROM_TO, State

_TOP = {"entity": "Top entities", "activity": "Top activities", "triggered_by": "Top users and automations"}
_DAY = timedelta(days=1)
_MOST_LINKED = 30


@dataclass(frozen=True)
class _Found:
    state: State
    frame: Frame
    series: Series
    tops: dict[str, list[Group]]
    snapshot: int


@requires(VIEW)
@recorded.run
@asks_again
async def page(request: Request) -> Response:
    """All pictures of what the filters keep; each bar is a link to a narrower filter."""
    state = state_of(request, OTHERS)
    now = await moment_of(request, state)
    filters = state.filters(now)

    def work(query: Query) -> _Found:
        tops = {field: top(query, filters, field, 10) for field in _TOP}
        named, series = state.named(query.labels.of), over_time(query, filters)
        return _Found(named, frame(query, request, named, filters), series, tops, query.snapshot.snapshot_id)

    found = await ask(request, work)
    state, series = found.state, found.series
    # Each point has two links, and a page of hundreds of long ones would be long.
    is_linked = state.is_short or len(series.points) <= _MOST_LINKED
    labels = [label(at, series.unit) for at, _, _ in series.points]
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
        unit=series.unit,
        snapshot=found.snapshot,
        now=iso(now),
        chart=bars(series.points, labels),
        points=[
            (
                long_label(at, series.unit),
                success,
                failure,
                narrowed(state, at, series.unit, first, last).url("/pictures") if is_linked else None,
            )
            for at, success, failure in series.points
        ],
        total=sum(success + failure for _, success, failure in series.points),
        tops=[(field, title, found.tops[field]) for field, title in _TOP.items()],
        filtered=lambda field, value: state.with_list(field, (value,)).url("/pictures"),
    )


def narrowed(state: State, at: datetime, unit: str, first: date, last: date) -> State:
    """The state of one unit of time, plain UTC, no further than the period that was shown."""
    day = at.date()
    if unit == "hour":
        return state.of_day(day, aware(at))
    end = {"day": day, "week": day + 6 * _DAY, "month": (day.replace(day=28) + 4 * _DAY).replace(day=1) - _DAY}[unit]
    return replace(state, period=FROM_TO, first_day=max(day, first), last_day=min(end, last), hour=None)
