"""The charts of the events: over time, and the values with the most events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from activity_audit.base.hours import iso, now_utc
from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.queries import events
from activity_audit.report.queries.charts import looked_of, top, unit_of
from activity_audit.report.queries.coverage import looked_by
from activity_audit.report.queries.cross import Cross, cross
from activity_audit.report.queries.groups import MOST_UNITS, Group, GroupOrder, ranked
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import audited
from activity_audit.report.web.drawing import MOST_SERIES, drawn, label_of, measured, name_of, shade
from activity_audit.report.web.opened import on_page
from activity_audit.report.web.pages.layout import OTHERS, Frame, asks_again, chips, fields_of, frame, prompt_text
from activity_audit.report.web.pages.query_threads import ask, moment_of, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import State
from activity_audit.warehouse.coverage import Looked
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.long_texts import Value

_TOP = {"entity": "Top entities", "activity": "Top activities", "triggered_by": "Top users and automations"}
_MOST_LINKED = 30
_KINDS = ("stacked", "bar", "line", "heat")
_WEEK = ("weekday", "hour_of_day")
_SPLIT = ("application", "entity", "activity", "triggered_by", "instance")
_IN_ORDER = GroupOrder("value", descending=False)


@dataclass(frozen=True)
class _Found:
    state: State
    frame: Frame
    groups: list[Group]
    cross: Cross | None
    looked: Mapping[tuple[str, ...], Looked]
    tops: dict[str, list[Group]]
    total: int
    snapshot: int


@requires(VIEW)
@audited.run
@asks_again
async def page(request: Request) -> Response:
    """All pictures of what the filters keep; each bar is a link to a narrower filter."""
    state = state_of(request, OTHERS)
    if "form" in request.query_params:
        return RedirectResponse(state.url("/pictures"), 303)
    now = await moment_of(request, state)
    filters = state.filters(now)
    kind = state.chart if state.chart in _KINDS else "stacked"
    unit = unit_of(filters.end - filters.start)

    def work(query: Query) -> _Found:
        if kind == "heat":
            crossed: Cross | None = cross(query, filters, _WEEK, _IN_ORDER)
            groups: list[Group] = []
        elif state.across and kind != "bar":
            fields = (unit, state.across)
            crossed = cross(query, filters, fields, _IN_ORDER, limit=MOST_UNITS, most_columns=MOST_SERIES)
            groups = crossed.rows.rows
        else:
            crossed, groups = None, ranked(query, filters, unit, _IN_ORDER, limit=MOST_UNITS).rows
        looked = looked_by(query, filters, _WEEK if kind == "heat" else (unit,), now_utc())
        tops = {field: top(query, filters, field, 10) for field in fields_of(request, _TOP)}
        named, total = state.named(query.labels.of), events.count(query, filters)
        shown = frame(query, request, named, filters)
        return _Found(named, shown, groups, crossed, looked, tops, total, query.snapshot.snapshot_id)

    found = await ask(request, work)
    state, groups = found.state, found.groups
    # Each point has two links, and a page of hundreds of long ones would be long.
    is_linked = state.is_short or len(groups) <= _MOST_LINKED

    def zoomed(value: Value) -> str | None:
        return state.narrowed(unit, value, filters).url("/pictures") if is_linked else None

    split = (state.across, found.cross) if found.cross and kind != "heat" else None
    return render(
        request,
        "pictures.html",
        view="pictures",
        saved=await on_page(request, state, "pictures"),
        state=state,
        page="/pictures",
        frame=found.frame,
        chips=chips(state, "/pictures"),
        about=prompt_text(state, filters, found.frame.applications),
        unit=unit,
        snapshot=found.snapshot,
        now=iso(now),
        kind=kind,
        is_linked=is_linked,
        offered=_KINDS,
        acrossable=fields_of(request, _SPLIT),
        chart=None if kind == "heat" else drawn(kind, unit, groups, found.looked, zoomed, filters, split),
        cross=found.cross if kind == "heat" else None,
        name=partial(name_of, _WEEK[0]),
        hour=partial(label_of, _WEEK[1]),
        hour_name=partial(name_of, _WEEK[1]),
        cell=lambda group: measured(group, "count", found.total),
        compact_cell=lambda group: measured(group, "count", found.total, compact=True),
        crossed_link=partial(_crossed, state, filters),
        looked_cell=partial(_looked_cell, found.looked),
        # Each of its fields says it.
        looked_column=lambda _: "wholly",
        shade=partial(shade, "count", found.cross.highest("count") if found.cross else 0),
        total=found.total,
        tops=[(field, title, found.tops[field]) for field, title in _TOP.items() if field in found.tops],
        filtered=lambda field, value: state.with_list(field, (value,)).url("/pictures"),
    )


def _crossed(state: State, filters: Filters, weekday: Value, hour: Value) -> str | None:
    if not state.is_short:
        return None
    return state.narrowed("weekday", weekday, filters).narrowed("hour_of_day", hour, filters).url("/pictures")


def _looked_cell(looked: Mapping[tuple[str, ...], Looked], row: Group, column: Group, cell: Group | None) -> Looked:
    return looked_of(looked, (str(row.value), str(column.value)), cell.count if cell else 0)
