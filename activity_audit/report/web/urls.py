"""Reads and writes the URLs of the report: period, filters, order, columns, groups. It asks the warehouse nothing.

A link that is opened by somebody else, tomorrow, gives the same page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import MAXYEAR, UTC, date, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode, urlsplit

from activity_audit.base.catalogue import normalised_name
from activity_audit.base.hours import HOUR, naive
from activity_audit.report import periods, time_fields
from activity_audit.report.queries.groups import FIELDS as GROUPABLE
from activity_audit.report.queries.groups import MOST_LEVELS, ORDERS, GroupOrder
from activity_audit.report.texts import decode, encode
from activity_audit.warehouse.events import day_parts, matches
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.filters import CHOICES, EXCLUDABLE, NAMES, Filters, choice
from activity_audit.warehouse.events.long_texts import LONGEST_QUERY, Value

FIELDS = tuple(column.field for column in COLUMNS)
TIME = FIELDS[0]
FROM_TO = "from-to"
CHOSEN = (*CHOICES, *day_parts.CHOICES, "comments")
# The list of comments has whole ones: the parameter of the field's name says what they contain.
_PARAMETER_OF = {"comments": "comments-are"}
# What is matched beside the values of lists.
_MATCHED = ("contains", "empty", "not-empty", "time-of-day", "search")
# A cross table has columns of any of these: what is filtered by, or a unit of time.
ACROSS = tuple(field for field in GROUPABLE if field != "comments")
MEASURES = ("count", "share", "failure", "failure_rate", "people")
CHARTS = ("stacked", "bar", "line", "heat", "none")
# What of the URL says how groups and pictures look.
LOOKS = ("order", "across", "measure", "chart", "compare", "people")
PARAMETERS = (
    "period", "from", "to", "hour", "zoom", *(_PARAMETER_OF.get(name, name) for name in CHOSEN), "comments", "not",
    *_MATCHED, "sort", "columns", "group", "path", *LOOKS
)  # fmt: skip
_SAID_ONCE = ("period", "from", "to", "hour", "comments", "time-of-day", "search", "sort", *LOOKS)
_MOST_ZOOMS = 8
_HOUR = "%Y-%m-%dT%H"
_MINUTE = f"{_HOUR}:%M"
_SHORT = 1500


class BadLinkError(ValueError):
    """A URL says something that the report does not know; the message says what."""


class BadPeriodError(BadLinkError):
    """The period is none; `state` has all else that was asked for, so that only the period must be chosen again."""

    def __init__(self, message: str, state: State) -> None:
        super().__init__(message)
        self.state = state


@dataclass(frozen=True)
class State:
    """One page of the report. `lists` has the chosen values by the parameter's name; times are UTC.

    The first and the last day may be a minute of a day, plain UTC: the first moment, and the one that ends the period.
    `zoom` has the periods that were looked into more closely, one in the other; the last one is what is shown.
    """

    period: str = periods.DEFAULT
    first_day: date | None = None
    last_day: date | None = None
    hour: datetime | None = None
    lists: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    comments: str = ""
    excluded: tuple[tuple[str, Value], ...] = ()
    contains: tuple[tuple[str, str], ...] = ()
    empty: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    time_of_day: day_parts.Clock | None = None
    search: str = ""
    searched: tuple[str, ...] = matches.SEARCHED
    sort: str = TIME
    descending: bool = True
    columns: tuple[str, ...] = FIELDS
    group: tuple[str, ...] = ()
    path: tuple[Value, ...] = ()
    zoom: tuple[tuple[datetime, datetime], ...] = ()
    order: GroupOrder | None = None
    across: str = ""
    measure: str = "count"
    chart: str = ""
    compare: bool = False
    people: bool = False

    def filters(self, now: datetime) -> Filters:
        """The filters, with the groups that were opened, of the period or of what was zoomed into.

        Raises:
            BadPeriodError: if the prompt's period is none.
            BadLinkError: if the hour is none of the period.
        """
        opened = list(zip(self.group, self.path, strict=False))
        chosen = self.lists | {name: (value,) for name, value in opened if name not in time_fields.UNITS}
        try:
            start, end = periods.period(self.period, now, self.first_day, self.last_day)
        except ValueError as error:
            raise BadPeriodError(str(error), self) from None
        try:
            if self.zoom:
                start, end = self.zoom[-1]
            narrower = [(self.hour, self.hour + HOUR)] if self.hour else []
            narrower += [time_fields.span(name, str(value)) for name, value in opened if name in time_fields.UNITS]
            for begin, stop in narrower:
                start, end = max(start, begin), min(end, stop)
            return Filters(
                start,
                end,
                comments=self.comments,
                excluded=self.excluded,
                contains=self.contains,
                empty=self.empty,
                filled=self.filled,
                time_of_day=self.time_of_day,
                search=self.search,
                searched=self.searched,
                **{choice(name): values for name, values in chosen.items()},
            )
        except ValueError as error:
            raise BadLinkError(str(error)) from None
        except OverflowError:
            raise BadLinkError(f"{self.hour} is outside the calendar") from None

    def pairs(self) -> list[tuple[str, str]]:
        """The parameters of the URL, in one order and without what is so anyway."""
        found = [("period", self.period)]
        if self.first_day:
            found.append(("from", day_text(self.first_day, "T")))
        if self.last_day:
            found.append(("to", day_text(self.last_day, "T")))
        if self.hour:
            found.append(("hour", hour_code(self.hour)))
        found += [("zoom", f"{_moment_text(start)}/{_moment_text(end)}") for start, end in self.zoom]
        found += [
            (_PARAMETER_OF.get(name, name), encode(value)) for name in CHOSEN for value in self.lists.get(name, ())
        ]
        if self.comments:
            found.append(("comments", self.comments))
        found += [("not", f"{name}:{encode(value)}") for name, value in self.excluded]
        found += [("contains", f"{name}:{text}") for name, text in self.contains]
        found += [("empty", name) for name in self.empty] + [("not-empty", name) for name in self.filled]
        if self.time_of_day:
            found.append(("time-of-day", day_parts.clock_text(self.time_of_day)))
        if self.search:
            found.append(("search", self.search))
        if (self.sort, self.descending) != (TIME, True):
            found.append(("sort", f"-{self.sort}" if self.descending else self.sort))
        if self.columns != FIELDS:
            found.append(("columns", ",".join(self.columns)))
        found += [("group", name) for name in self.group]
        found += [("path", encode(value)) for value in self.path]
        if self.order:
            found.append(("order", f"-{self.order.by}" if self.order.descending else self.order.by))
        found += [(name, text) for name, text in (("across", self.across), ("chart", self.chart)) if text]
        if self.measure != "count":
            found.append(("measure", self.measure))
        return found + [(name, "1") for name in ("compare", "people") if getattr(self, name)]

    def url(self, page: str = "/", **more: Any) -> str:
        """A page of the report with this state; `more` are parameters of that page, left out where they are None."""
        extra = [(name, str(value)) for name, value in more.items() if value is not None]
        return f"{page}?{self._query}{'&' if extra else ''}{urlencode(extra)}"

    @property
    def asked_by(self) -> frozenset[str]:
        """The fields that events are chosen, excluded, matched, sorted or grouped by."""
        # Their number says something of the people, too.
        by_people = self.people or self.measure == "people" or (self.order and self.order.by == "people")
        people = ["triggered_by"] if by_people else []
        across = [self.across] if self.across else []
        return self.filtered_by.union([*people, self.sort, *self.group, *across])

    @property
    def filtered_by(self) -> frozenset[str]:
        """The fields whose values are chosen, excluded or matched."""
        found = {name for name, values in self.lists.items() if values}
        found |= {name for name, _ in (*self.excluded, *self.contains)} | {*self.empty, *self.filled}
        if self.comments:
            found.add("comments")
        is_of_times = self.hour or self.time_of_day or found.intersection(day_parts.CHOICES)
        return frozenset(found | {TIME} if is_of_times else found)

    @property
    def is_short(self) -> bool:
        """Whether a page may have hundreds of links with all of this state."""
        return len(self._query) <= _SHORT

    @cached_property
    def _query(self) -> str:
        # A page has many links with the same state.
        return urlencode(self.pairs())

    def named(self, label: Callable[[str, Value], Value]) -> State:
        """With the label of every value, however a link spells it; `label` takes the field and the value."""
        return replace(
            self,
            lists={
                field: tuple(dict.fromkeys(label(field, value) for value in values))
                for field, values in self.lists.items()
            },
            excluded=tuple(dict.fromkeys((field, label(field, value)) for field, value in self.excluded)),
            path=tuple(label(field, value) for field, value in zip(self.group, self.path, strict=False)),
        )

    def with_list(self, name: str, values: Iterable[Value]) -> State:
        """With these values chosen in one list, and no others."""
        return replace(self, lists={**self.lists, name: tuple(values)})

    def excluding(self, name: str, value: Value) -> State:
        """Without the events that have this value."""
        return self if (name, value) in self.excluded else replace(self, excluded=(*self.excluded, (name, value)))

    def narrowed(self, name: str, value: Value, within: Filters) -> State:
        """With this value of a field only: chosen in its list, or zoomed into as far as it is `within` the filters."""
        if name in time_fields.UNITS:
            start, end = time_fields.span(name, str(value))
            return self.zoomed(max(start, within.start), min(end, within.end))
        return self.with_list(name, (value,))

    def zoomed(self, start: datetime, end: datetime) -> State:
        """With this period, aware, whole hours, looked into more closely."""
        kept = self.zoom[: _MOST_ZOOMS - 1]
        return self if self.zoom[-1:] == ((start, end),) else replace(self, zoom=(*kept, (start, end)), hour=None)

    def charted(self, kind: str) -> State:
        """As this chart."""
        return replace(self, chart=kind)

    def counting_people(self) -> State:
        """With different people counted, however much must be read for it."""
        return replace(self, people=True)

    def to_zoom(self, number: int) -> State:
        """With so many of the closer looks."""
        return replace(self, zoom=self.zoom[:number])

    def with_order(self, by: str) -> State:
        """The groups sorted by this: as is usual for it at first, and the other way round the next time."""
        same = self.order and self.order.by == by
        descending = not self.order.descending if self.order and same else by != "value"
        return replace(self, order=GroupOrder(by, descending))

    def sorted(self, name: str) -> State:
        """Sorted by this column: as is usual for it at first, and the other way round the next time."""
        descending = not self.descending if name == self.sort else name == TIME
        return replace(self, sort=name, descending=descending)

    @property
    def opened_query(self) -> str:
        """The open groups by themselves, as a URL has them."""
        opened = [("group", name) for name in self.group[: len(self.path)]]
        return urlencode([*opened, *(("path", encode(value)) for value in self.path)])

    def to_level(self, level: int) -> State:
        """With so many of the open groups still open."""
        return replace(self, path=self.path[:level])

    def without_filters(self) -> State:
        """As the prompt left it: the period and the applications, and how the table looks."""
        kept = {name: values for name, values in self.lists.items() if name == "application"}
        state = replace(self, lists=kept, comments="", excluded=(), hour=None, path=(), zoom=())
        return replace(state, contains=(), empty=(), filled=(), time_of_day=None, search="")


def parse(items: Iterable[tuple[str, str]], others: Iterable[str] = ()) -> State:
    """The state that the parameters of a URL say; `others` are parameters of the page, which are not looked at.

    Raises:
        BadPeriodError: if a day of the period is none.
        BadLinkError: naming the parameter that is unknown or wrong, or the limit of what is too much.
    """
    values: dict[str, list[str]] = {}
    for name, text in items:
        if name not in PARAMETERS and name not in others:
            raise BadLinkError(f"the report does not know “{name}”")
        # A form sends what was left empty, too.
        if text:
            values.setdefault(name, []).append(text)
    for name in _SAID_ONCE:
        if len(set(values.get(name, []))) > 1:
            raise BadLinkError(f"“{name}” may be given once only")
    group = tuple(dict.fromkeys(_known(name, GROUPABLE, "group") for name in values.get("group", [])))
    if len(group) > MOST_LEVELS:
        raise BadLinkError(f"“group” may be given {MOST_LEVELS} times at most")
    sort = (values.get("sort") or [f"-{TIME}"])[0]
    days: dict[str, date | None] = {}
    wrong: list[str] = []
    for name in ("from", "to"):
        try:
            days[name] = _day(values, name)
        except ValueError as error:
            days[name] = None
            wrong.append(str(error))
    lists = {
        name: tuple(dict.fromkeys(map(decode, values[parameter])))
        for name in CHOSEN
        if (parameter := _PARAMETER_OF.get(name, name)) in values
    }
    for name in day_parts.CHOICES:
        for value in lists.get(name, ()):
            _known(str(value), day_parts.VALUES[name], name)
    state = State(
        period=_known((values.get("period") or [periods.DEFAULT])[0], periods.NAMES, "period"),
        first_day=days["from"],
        last_day=days["to"],
        hour=_hour(values),
        lists=lists,
        comments=(values.get("comments") or [""])[0],
        excluded=tuple(dict.fromkeys(map(_excluded, values.get("not", [])))),
        contains=tuple(dict.fromkeys(map(_contained, values.get("contains", [])))),
        empty=tuple(dict.fromkeys(_known(name, EXCLUDABLE, "empty") for name in values.get("empty", []))),
        filled=tuple(dict.fromkeys(_known(name, EXCLUDABLE, "not-empty") for name in values.get("not-empty", []))),
        time_of_day=clock(values["time-of-day"][0]) if "time-of-day" in values else None,
        search=bounded((values.get("search") or [""])[0]),
        sort=_known(sort.removeprefix("-"), FIELDS, "sort"),
        descending=sort.startswith("-"),
        columns=_columns(values),
        group=group,
        path=_path(values, group, lists),
        zoom=_zoom(values.get("zoom", [])),
        order=_order(values.get("order", [])),
        across=_one(values, "across", ACROSS, ""),
        measure=_one(values, "measure", MEASURES, "count"),
        chart=_one(values, "chart", CHARTS, ""),
        compare=_one(values, "compare", ("1",), "") == "1",
        people=_one(values, "people", ("1",), "") == "1",
    )
    if (length := len(urlsplit(state.url()).query)) > LONGEST_QUERY:
        raise BadLinkError(
            f"this selection is too large: its link has {length:,} characters, where {LONGEST_QUERY:,} are "
            "allowed; choose fewer values"
        )
    if wrong:
        raise BadPeriodError(wrong[0], state)
    return state


def _path(
    values: dict[str, list[str]], group: tuple[str, ...], lists: dict[str, tuple[Value, ...]]
) -> tuple[Value, ...]:
    """The groups that are open; one whose value is filtered away is not, and none inside it."""
    path = tuple(map(decode, values.get("path", [])))
    if len(path) > len(group):
        raise BadLinkError("“path” names more groups than “group” has levels")
    for name, value in zip(group, path, strict=False):
        if name in time_fields.FIELDS and not time_fields.is_value(name, value):
            raise BadLinkError(f"“{value}” is not a {name} that the report knows")
    kept = [_is_kept(name, value, lists.get(name)) for name, value in zip(group, path, strict=False)]
    return path[: [*kept, False].index(False)]


def _is_kept(field: str, value: Value, chosen: tuple[Value, ...] | None) -> bool:
    def key(value: Value) -> Value:
        return normalised_name(value) if field in NAMES and isinstance(value, str) else value

    return chosen is None or key(value) in map(key, chosen)


def _columns(values: dict[str, list[str]]) -> tuple[str, ...]:
    if "columns" not in values:
        return FIELDS
    named = ",".join(values["columns"]).split(",")
    return tuple(dict.fromkeys(_known(name, FIELDS, "columns") for name in named))


def _excluded(text: str) -> tuple[str, Value]:
    name, _, value = text.partition(":")
    return _known(name, EXCLUDABLE, "not"), decode(value)


def _known(name: str, names: Iterable[str], parameter: str) -> str:
    if name not in names:
        raise BadLinkError(f"“{name}” is not a {parameter} that the report knows")
    return name


def _one(values: dict[str, list[str]], name: str, known: Iterable[str], default: str) -> str:
    return _known(values[name][0], known, name) if name in values else default


def _order(texts: list[str]) -> GroupOrder | None:
    if not texts:
        return None
    return GroupOrder(_known(texts[0].removeprefix("-"), ORDERS, "order"), texts[0].startswith("-"))


def _zoom(texts: list[str]) -> tuple[tuple[datetime, datetime], ...]:
    found = []
    for text in texts:
        wrong = f"“{text}” is not a period to zoom into; write it as 2026-05-31T08/2026-05-31T12"
        try:
            start, end = map(_moment, text.split("/"))
        except ValueError:
            raise BadLinkError(wrong) from None
        if start >= end or end.year == MAXYEAR:
            raise BadLinkError(wrong)
        found.append((start, end))
    return tuple(found[:_MOST_ZOOMS])


def _contained(text: str) -> tuple[str, str]:
    name, _, contained = text.partition(":")
    if not contained:
        raise BadLinkError(f"“{text}” is not a field and a text that it contains; write it as entity:Chat")
    return _known(name, EXCLUDABLE, "contains"), bounded(contained)


def bounded(text: str) -> str:
    """The text that is looked for.

    Raises:
        BadLinkError: if it is too long.
    """
    if len(text) > matches.LONGEST:
        raise BadLinkError(f"a text to look for has at most {matches.LONGEST} characters, not {len(text):,}")
    return text


def clock(text: str) -> day_parts.Clock:
    """The time of day that a URL says.

    Raises:
        BadLinkError: if it is none.
    """
    try:
        return day_parts.clock_of(text)
    except ValueError as error:
        raise BadLinkError(str(error)) from None


def day_text(day: date, apart: str = " ") -> str:
    """`2026-05-31`, or a minute of it: `2026-05-31 08:30`."""
    return day.isoformat(sep=apart, timespec="minutes") if isinstance(day, datetime) else day.isoformat()


def _moment_text(moment: datetime) -> str:
    return moment.strftime(_MINUTE if moment.minute else _HOUR)


def _moment(text: str) -> datetime:
    return datetime.strptime(text, _MINUTE if ":" in text else _HOUR).replace(tzinfo=UTC)


def _day(values: dict[str, list[str]], name: str) -> date | None:
    if name not in values or (values.get("period") or [periods.DEFAULT])[0] != FROM_TO:
        return None
    text = values[name][0].strip()
    try:
        return naive(_moment(text.replace(" ", "T"))) if ":" in text else date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"“{text}” is not a day; write it as 2026-05-31, or 2026-05-31 08:30") from None


def _hour(values: dict[str, list[str]]) -> datetime | None:
    return hour_of(values["hour"][0]) if "hour" in values else None


def hour_of(text: str) -> datetime:
    """The hour that a link names, aware.

    Raises:
        BadLinkError: if it names none.
    """
    try:
        return datetime.strptime(text, _HOUR).replace(tzinfo=UTC)
    except ValueError:
        raise BadLinkError(f"“{text}” is not an hour; write it as 2026-05-31T10") from None


def hour_code(hour: datetime) -> str:
    """An hour as a link names it."""
    return hour.strftime(_HOUR)


def day_of(text: str) -> date:
    """The day that a link or a form names.

    Raises:
        BadLinkError: if it names none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadLinkError(f"“{text}” is not a day; write it as 2026-05-31") from None
