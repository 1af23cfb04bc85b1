"""The parts around every view of the events: trust line, prompt, filters, and their texts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial, wraps

from starlette.requests import Request
from starlette.responses import Response

from activity_audit.base.hours import EARLIEST_YEAR, now_utc
from activity_audit.report import periods, texts
from activity_audit.report.queries import lists
from activity_audit.report.queries.lists import Application, applications
from activity_audit.report.queries.trust import trust
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.titles import TITLES
from activity_audit.report.web.column_filters import PARAMETERS
from activity_audit.report.web.drawing import name_of
from activity_audit.report.web.opened import on_page
from activity_audit.report.web.pages.query_threads import ask
from activity_audit.report.web.templating import render
from activity_audit.report.web.urls import FROM_TO, BadPeriodError, State
from activity_audit.warehouse.events import day_parts
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.long_texts import Value, short
from activity_audit.warehouse.events.masked import FIELDS as MASKED
from activity_audit.warehouse.verdicts import Condition

# These lists come with every page, unless much must be read for them; the others when they are opened.
_ALWAYS = ("application", "entity", "activity", "outcome")
FILTER_FIELDS = (*_ALWAYS, "triggered_by", "instance")
# Parameters of the pages' own, which are no part of what is asked.
OTHERS = ("form", "show", *PARAMETERS, *(f"find-{field}" for field in FILTER_FIELDS))
MOST_VALUES = 200
# Events name no more applications than these, or the prompt has no counts.
MOST_APPLICATIONS = 20_000
# A link has all of the other filters in it, so a page with a link for each would grow with their square.
_MOST_LINKED = 50
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class FilterList:
    """The values of one field that can be chosen; None where they are not asked for yet."""

    field: str
    chosen: tuple[Value, ...]
    values: list[lists.Value] | None
    search: str = ""

    @property
    def unlisted(self) -> list[Value]:
        """The chosen values that are not among them: a form must still send them."""
        known = {short(value.value) for value in self.values or []}
        return [value for value in self.chosen if value not in known]

    @property
    def has_all(self) -> bool:
        """Whether every value that has an event is among them, so that a chosen one that is not has none."""
        return self.values is not None and not self.search and not self.is_cut

    def has(self, value: Value) -> bool:
        """Whether the value is chosen."""
        return short(value) in self.chosen

    @property
    def is_cut(self) -> bool:
        """Whether there may be more values than are listed."""
        return len(self.values or []) >= MOST_VALUES


@dataclass(frozen=True)
class Chip:
    """A filter in words, and the URL without it; None where there are so many that not each has one."""

    text: str
    url: str | None
    is_exclusion: bool = False


@dataclass(frozen=True)
class Frame:
    """What every view shows around the events."""

    trust: Condition
    last_day: date | None
    applications: list[Application]
    lists: list[FilterList]
    # Events by application under all other filters; None where there are no filters, or much would have to be read.
    events_of: dict[str | None, int] | None


def frame(query: Query, request: Request, state: State | None, filters: Filters | None) -> Frame:
    """Asks for all of it; without filters there are no lists."""
    show = request.query_params.getlist("show")
    found = []
    events_of = None
    counted: list[lists.Value] | None = None
    if state and filters:
        if lists.is_quick(query, filters, "application"):
            counted = lists.values(query, filters, "application", limit=MOST_APPLICATIONS)
            # Of more applications than these it is not known which have none.
            events_of = {one.value: one.count for one in counted} if len(counted) < MOST_APPLICATIONS else None
        for field in fields_of(request, FILTER_FIELDS):
            search = request.query_params.get(f"find-{field}", "")
            chosen = state.lists.get(field, ())
            is_asked = field in show or bool(search)
            if not is_asked and (field in _ALWAYS or chosen):
                is_asked = lists.is_quick(query, filters, field)
            if field == "application" and counted is not None and not search:
                # They are counted for the prompt, too.
                values: list[lists.Value] | None = counted[:MOST_VALUES]
            else:
                values = lists.values(query, filters, field, search, MOST_VALUES) if is_asked else None
            found.append(FilterList(field, chosen, values, search))
    last_day = min(filters.end - timedelta(microseconds=1), now_utc()).date() if filters else None
    if last_day and last_day.year < EARLIEST_YEAR:
        last_day = None
    return Frame(trust(query, filters=filters), last_day, applications(query), found, events_of)


def fields_of(request: Request, fields: Iterable[str]) -> list[str]:
    """Those of the fields that the user may ask by."""
    return [field for field in fields if not (request.state.user.is_masked and field in MASKED)]


def chips(state: State, page: str) -> list[Chip]:
    """Every filter beside the prompt's, each with the URL of the page without it; of many, the first ones."""
    from dataclasses import replace

    found: list[Chip] = []

    def add(text: str, without: Callable[[], State], *, is_exclusion: bool = False) -> None:
        found.append(Chip(text, without().url(page) if len(found) < _MOST_LINKED else None, is_exclusion))

    if state.hour:
        add(f"Hour: {texts.hour_text(state.hour)} UTC", lambda: replace(state, hour=None))
    for field, chosen in state.lists.items():
        if field == "application":
            continue
        for value in chosen:
            add(
                f"{TITLES[field]}: {name_of(field, value)}",
                partial(state.with_list, field, tuple(other for other in chosen if other != value)),
            )
    if state.comments:
        add(f"Comments contain: {texts.cut(state.comments)}", lambda: replace(state, comments=""))
    for pair in state.excluded:
        rest = tuple(other for other in state.excluded if other != pair)
        text = f"Not {TITLES[pair[0]]}: {texts.value_text(pair[1])}"
        add(text, partial(replace, state, excluded=rest), is_exclusion=True)
    for field, contained in state.contains:
        others = tuple(pair for pair in state.contains if pair != (field, contained))
        add(f"{TITLES[field]} contains: {texts.cut(contained)}", partial(replace, state, contains=others))
    for name in state.empty:
        left = tuple(other for other in state.empty if other != name)
        add(f"{TITLES[name]} is empty", partial(replace, state, empty=left))
    for name in state.filled:
        left = tuple(other for other in state.filled if other != name)
        add(f"{TITLES[name]} is not empty", partial(replace, state, filled=left))
    if state.time_of_day:
        add(f"Time of day: {day_parts.clock_text(state.time_of_day)} UTC", lambda: replace(state, time_of_day=None))
    if state.search:
        add(f"Search: {state.search}", lambda: replace(state, search=""))
    return found


def prompt_text(state: State, filters: Filters, known: list[Application]) -> str:
    """The prompt's choices in words."""
    names = {one.application: one.title for one in known}
    chosen = [names.get(str(value or ""), texts.value_text(value)) for value in state.lists.get("application", ())]
    return f"{texts.cut(', '.join(chosen)) or 'All applications'} · {period_text(state, filters)}"


def period_text(state: State, filters: Filters) -> str:
    """The period with its ends as they are, both included."""
    if state.period in periods.OF_HOURS and not state.zoom:
        # They may end at midnight, and are hours all the same.
        return f"{periods.TITLES[state.period]}: {texts.hour_text(filters.start)} to {texts.hour_text(filters.end)} UTC"
    named = "" if state.zoom or state.period == FROM_TO else f"{periods.TITLES[state.period]}: "
    return f"{named}{texts.span_text(filters.start, filters.end)} UTC"


async def prompt(request: Request) -> Response:
    """The prompt where nothing is asked yet."""
    return await _prompt(request, State())


def asks_again(endpoint: Endpoint) -> Endpoint:
    """Decorates a view: where the period is none, the prompt says so at its field and keeps everything else."""

    @wraps(endpoint)
    async def asked(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadPeriodError as error:
            if "application/json" in request.headers.get("accept", ""):
                raise
            return await _prompt(request, error.state, str(error))

    return asked


async def _prompt(request: Request, state: State, wrong: str = "") -> Response:
    found = await ask(request, lambda query: frame(query, request, None, None))
    return render(
        request,
        "prompt.html",
        400 if wrong else 200,
        state=state,
        frame=found,
        saved=await on_page(request),
        page=request.url.path,
        wrong=wrong[:1].upper() + wrong[1:],
        typed={name: request.query_params.get(name, "") for name in ("from", "to")} if wrong else {},
        chips=chips(state, request.url.path) if wrong else [],
    )
