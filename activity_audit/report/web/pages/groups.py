"""Events in groups of up to three fields, one level at a time; the last level leads to the events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from activity_audit.base.hours import iso, now_utc
from activity_audit.report import texts, time_fields
from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.export.groups_file import GroupsAsked
from activity_audit.report.queries import events
from activity_audit.report.queries.charts import looked_of
from activity_audit.report.queries.coverage import coverage_of, looked_by
from activity_audit.report.queries.cross import Cross, cross
from activity_audit.report.queries.groups import Group, GroupOrder, Ranked, ranked
from activity_audit.report.queries.measures import people_are_quick, the_period_before
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.texts import decode
from activity_audit.report.titles import TITLES
from activity_audit.report.web import audited
from activity_audit.report.web.cursors import decode_group, encode_group
from activity_audit.report.web.drawing import drawn, label_of, measured, name_of, shade
from activity_audit.report.web.opened import on_page
from activity_audit.report.web.pages.layout import OTHERS, Frame, asks_again, chips, fields_of, frame, prompt_text
from activity_audit.report.web.pages.query_threads import ask, moment_of, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import ACROSS, GROUPABLE, MEASURES, MOST_LEVELS, State
from activity_audit.warehouse.coverage import Coverage, Looked
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.long_texts import Value, short

_MOST = 200
# Where each group's link is long.
_MOST_LONG = 50
# A cross table has a link for each of its cells.
_MOST_CROSSED = 50
_MOST_DRAWN = 62
_FIRST = ("application", "entity", "activity")
# What the form says was open when it was sent.
_OPENED = "opened"


@dataclass(frozen=True)
class _Before:
    """The period before: its events, and what is known of its hours."""

    filters: Filters
    total: int
    coverage: Coverage


@dataclass(frozen=True)
class _Found:
    state: State
    frame: Frame
    ranked: Ranked
    cross: Cross | None
    looked: Mapping[tuple[str, ...], Looked]
    looked_cells: Mapping[tuple[str, ...], Looked]
    people: bool
    before: _Before | None
    total: int
    snapshot: int


def order_of(state: State, field: str) -> GroupOrder:
    """The order of the groups: units of time follow one another, of all else the largest is first."""
    return state.order or (GroupOrder("value", descending=False) if field in time_fields.FIELDS else GroupOrder())


def groups_of(state: State, filters: Filters) -> GroupsAsked | None:
    """The groups that the page of this state shows, for a file; None where all levels are open."""
    state = state if state.group else replace(state, group=_FIRST)
    if len(state.path) >= len(state.group):
        return None
    field = state.group[len(state.path)]
    order = order_of(state, field)
    before = the_period_before(filters) if state.compare or order.by in ("before", "change") else None
    titles = (TITLES[field], TITLES.get(state.across, ""))
    people = state.people or order.by == "people"
    return GroupsAsked(field, order, titles, state.across, state.measure, people, before)


@requires(VIEW)
@audited.run
@asks_again
async def page(request: Request) -> Response:
    """The groups of the level that is open, and the way back."""
    state = state_of(request, (*OTHERS, "after", _OPENED))
    if not state.group:
        state = replace(state, group=_FIRST)
    if {"form", _OPENED} & request.query_params.keys():
        return RedirectResponse(replace(state, path=_still_open(request, state)).url("/groups"), 303)
    if len(state.path) >= len(state.group):
        return RedirectResponse(state.url("/"), 303)
    now = await moment_of(request, state)
    filters = state.filters(now)
    after = decode_group(request.query_params.get("after"))
    field = state.group[len(state.path)]
    order, of_time = order_of(state, field), field in time_fields.FIELDS

    # How many people there are says something of who they are.
    may_count = bool(fields_of(request, ("triggered_by",)))

    def work(query: Query) -> _Found:
        people = (may_count and field != "triggered_by") and (
            state.people or "people" in (order.by, state.measure) or people_are_quick(query, filters, field)
        )
        before, crossed = None, None
        if state.across:
            limit = _MOST_CROSSED if state.is_short else _MOST_CROSSED // 5
            crossed = cross(query, filters, (field, state.across), order, limit=limit, after=after, people=people)
            found = crossed.rows
        else:
            limit = _MOST if state.is_short else _MOST_LONG
            was = the_period_before(filters) if state.compare or order.by in ("before", "change") else None
            found = ranked(query, filters, field, order, limit=limit, after=after, people=people, before=was)
            before = _Before(was, events.count(query, was), coverage_of(query, was, now_utc())) if was else None
        looked = looked_by(query, filters, (field,), now_utc()) if of_time else {}
        both = (field, state.across)
        across_time = state.across in time_fields.FIELDS
        # Where both are of time each cell says it, and else each row or column.
        cells = looked_by(query, filters, both if of_time else both[1:], now_utc()) if across_time else {}
        named = state.named(query.labels.of)
        return _Found(
            named,
            frame(query, request, named, filters),
            found,
            crossed,
            looked,
            cells,
            people,
            before,
            events.count(query, filters),
            query.snapshot.snapshot_id,
        )

    found = await ask(request, work)
    state, rows = found.state, found.ranked.rows
    chart = None
    if state.chart in ("bar", "stacked", "line"):
        split = (state.across, found.cross) if found.cross else None
        chart = drawn(state.chart, field, rows[:_MOST_DRAWN], found.looked, partial(opened, state), filters, split)
    shown = sum(group.count for group in rows)
    return render(
        request,
        "groups.html",
        view="groups",
        saved=await on_page(request, state, "groups"),
        state=state,
        page="/groups",
        frame=found.frame,
        chips=chips(state, "/groups"),
        about=prompt_text(state, filters, found.frame.applications),
        total=found.total,
        snapshot=found.snapshot,
        now=iso(now),
        groups=rows,
        number=found.ranked.number,
        is_first=after is None,
        others=found.total - shown,
        others_before=found.before.total - sum(group.before or 0 for group in rows) if found.before else 0,
        more=encode_group(rows[-1]) if found.ranked.more else None,
        order=order,
        people=found.people,
        before=found.before,
        before_text=_said(found.before.filters) if found.before else "",
        cross=found.cross,
        chart=chart,
        field=field,
        name=partial(name_of, field),
        across_name=partial(name_of, state.across),
        looked=(lambda group: looked_of(found.looked, (str(group.value),), group.count)) if of_time else None,
        looked_cell=partial(_looked_cell, found.looked_cells if of_time else {}),
        looked_column=partial(_looked_column, {} if of_time else found.looked_cells),
        opened=lambda value: opened(state, value),
        crossed_link=lambda row, column: crossed_url(state, row, column, filters),
        across_label=partial(label_of, state.across),
        cell=lambda group: measured(group, state.measure, found.total),
        compact_cell=lambda group: measured(group, state.measure, found.total, compact=True),
        shade=partial(shade, state.measure, found.cross.highest(state.measure) if found.cross else 0),
        groupable=fields_of(request, GROUPABLE),
        acrossable=fields_of(request, ACROSS),
        measures=[one for one in MEASURES if one != "people" or may_count],
        may_count=may_count and field != "triggered_by",
        levels=range(MOST_LEVELS),
    )


def _still_open(request: Request, state: State) -> tuple[Value, ...]:
    """The groups that were open when the form was sent, as far as it chose the same levels, and one more is left."""
    was = parse_qs(request.query_params.get(_OPENED, ""), keep_blank_values=True)
    levels = zip(state.group[:-1], was.get("group", []), was.get("path", []), strict=False)
    same = takewhile(lambda level: level[0] == level[1], levels)
    return tuple(decode(code) for *_, code in same)


def opened(state: State, value: Value) -> str:
    """The URL of what is in a group: the next level, or its events."""
    # An order by a number is meant for all levels, one by a value for this one.
    order = state.order if state.order and state.order.by != "value" else None
    inner = replace(state, path=(*state.path, short(value)), order=order)
    return inner.url("/groups" if len(inner.path) < len(inner.group) else "/")


def crossed_url(state: State, row: Value, column: Value, filters: Filters) -> str | None:
    """The URL of the events of a cell; None where each would be long."""
    if not state.is_short:
        return None
    return replace(state.narrowed(state.across, column, filters), path=(*state.path, short(row))).url("/")


def _looked_cell(looked: Mapping[tuple[str, ...], Looked], row: Group, column: Group, cell: Group | None) -> Looked:
    """How much of the hours of a cell was looked at; of what has no hours all, for it is said of the whole period."""
    if not looked:
        return "wholly"
    return looked_of(looked, (str(row.value), str(column.value)), cell.count if cell else 0)


def _looked_column(looked: Mapping[tuple[str, ...], Looked], column: Group) -> Looked:
    return looked_of(looked, (str(column.value),), column.count) if looked else "wholly"


def _said(filters: Filters) -> str:
    return f"{texts.span_text(filters.start, filters.end)} UTC"
