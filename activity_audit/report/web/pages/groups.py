"""Events in groups of up to three columns, one level at a time; the last level leads to the events."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from activity_audit.base.hours import iso
from activity_audit.report.access.permissions import VIEW, requires
from activity_audit.report.queries import events
from activity_audit.report.queries.groups import Group, groups
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.web import audited
from activity_audit.report.web.cursors import decode_group, encode_group
from activity_audit.report.web.pages.layout import OTHERS, Frame, asks_again, chips, fields_of, frame, prompt_text
from activity_audit.report.web.pages.query_threads import ask, moment_of, state_of
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import GROUPABLE, MOST_LEVELS, State
from activity_audit.warehouse.events.long_texts import Value, short

_MOST = 200
# Where each group's link is long.
_MOST_LONG = 50
_FIRST = ("application", "entity", "activity")


@dataclass(frozen=True)
class _Found:
    state: State
    frame: Frame
    groups: list[Group]
    total: int
    snapshot: int


@requires(VIEW)
@audited.run
@asks_again
async def page(request: Request) -> Response:
    """The groups of the level that is open, and the way back."""
    state = state_of(request, (*OTHERS, "after"))
    if not state.group:
        state = replace(state, group=_FIRST)
    if "form" in request.query_params:
        return RedirectResponse(replace(state, path=()).url("/groups"), 303)
    if len(state.path) >= len(state.group):
        return RedirectResponse(state.url("/"), 303)
    now = await moment_of(request, state)
    filters = state.filters(now)
    whole = replace(state, path=()).filters(now)
    after = decode_group(request.query_params.get("after"))
    most = _MOST if state.is_short else _MOST_LONG

    def work(query: Query) -> _Found:
        found = groups(query, whole, state.group, state.path, most + 1, after)
        total, snapshot = events.count(query, filters), query.snapshot.snapshot_id
        named = state.named(query.labels.of)
        return _Found(named, frame(query, request, named, filters), found, total, snapshot)

    found = await ask(request, work)
    state, shown = found.state, found.groups[:most]
    return render(
        request,
        "groups.html",
        view="groups",
        state=state,
        page="/groups",
        frame=found.frame,
        chips=chips(state, "/groups"),
        about=prompt_text(state, filters, found.frame.applications),
        total=found.total,
        snapshot=found.snapshot,
        now=iso(now),
        groups=shown,
        field=state.group[len(state.path)],
        opened=lambda value: opened(state, value),
        more=encode_group(shown[-1]) if len(found.groups) > most else None,
        groupable=fields_of(request, GROUPABLE),
        levels=range(MOST_LEVELS),
    )


def opened(state: State, value: Value) -> str:
    """The URL of what is in a group: the next level, or its events."""
    inner = replace(state, path=(*state.path, short(value)))
    return inner.url("/groups" if len(inner.path) < len(inner.group) else "/")
