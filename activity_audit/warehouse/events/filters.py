"""The filters of the report: a period, and values to keep, as SQL with bound values and as words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime, time
from typing import Any

from activity_audit.base.hours import floor_hour, iso, naive
from activity_audit.warehouse import observed_names
from activity_audit.warehouse.events import day_parts, matches
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.long_texts import Digest, Value, whole_text

# The list of values that chooses by a field of the fact, for every field that can be chosen by.
CHOICES = {
    "application": "applications",
    "entity": "entities",
    "activity": "activities",
    "outcome": "outcomes",
    "triggered_by": "triggered_by",
    "instance": "instances",
    "event_id": "event_ids",
}
# By comments one chooses what they contain; a group of them is chosen by the whole text.
_CHOSEN = CHOICES | {"comments": "comments_are"}
# What `agg_activity_hourly` knows of an event, beside its hour.
AGGREGATED = ("application", "entity", "activity", "outcome")
# What is matched by the catalogue's key, however it is spelled.
NAMES = observed_names.FIELDS
EXCLUDABLE = tuple(_CHOSEN)
# By field that is chosen by: what people call the list of its values.
LISTS = {
    "application": "Applications",
    "entity": "Entities",
    "activity": "Activities",
    "outcome": "Outcomes",
    "triggered_by": "Triggered by",
    "instance": "Instances",
    "event_id": "Event IDs",
}
# The same for what is named only where it is chosen by.
SELDOM = {"comments_are": "Comments", "weekdays": "Weekdays", "hours_of_day": "Hours of the day (UTC)"}
# What else is said only then.
_MATCHED = ("contains", "empty", "filled", "time_of_day", "search", "searched")
SEARCH = "search"
_TITLES = {column.field: column.title for column in COLUMNS}


def choice(field: str) -> str:
    """The name of the filters' list of values by which a field of the fact, or a part of its time, is chosen."""
    return day_parts.CHOICES.get(field) or _CHOSEN[field]


def compared(field: str, value: Any) -> str:
    """The field, as SQL that may be compared with the value.

    DuckLake asks its catalog for the files that may have a value, and a character 0 ends that question in the middle.
    Of an expression it asks nothing.
    """
    return f"substr({field}, 1)" if isinstance(value, str) and "\0" in value else field


@dataclass(frozen=True)
class Filters:
    """Events of the half-open period [start, end), by event time, UTC; an empty list of values keeps all.

    Values are as the warehouse has them, or the digests of long ones; None is the value of an event that has none.
    `comments` is a text that the event's comments contain, in upper or lower case; `comments_are` are whole comments.
    `excluded` has pairs of a field of the fact and a value that no event shall have. `weekdays` and `hours_of_day` are
    those of the event time.

    `contains` has pairs of a field and a text that it contains, in upper or lower case; `empty` and `filled` have
    fields without and with a text. `time_of_day` is of the event time, UTC. `search` is a text that one of the
    `searched` fields contains. All of them hold. Raises ValueError if the period is empty, or a field is none that can
    be excluded by.
    """

    start: datetime
    end: datetime
    applications: tuple[Value, ...] = ()
    entities: tuple[Value, ...] = ()
    activities: tuple[Value, ...] = ()
    outcomes: tuple[Value, ...] = ()
    triggered_by: tuple[Value, ...] = ()
    instances: tuple[Value, ...] = ()
    event_ids: tuple[Value, ...] = ()
    comments: str = ""
    comments_are: tuple[Value, ...] = ()
    excluded: tuple[tuple[str, Value], ...] = ()
    weekdays: tuple[Value, ...] = ()
    hours_of_day: tuple[Value, ...] = ()
    contains: tuple[tuple[str, str], ...] = ()
    empty: tuple[str, ...] = ()
    filled: tuple[str, ...] = ()
    time_of_day: day_parts.Clock | None = None
    search: str = ""
    searched: tuple[str, ...] = matches.SEARCHED

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError("the period ends before it has begun; it is half-open, [from, to)")
        for field in self._matched():
            if field not in EXCLUDABLE:
                raise ValueError(f"events cannot be excluded by {field!r}, only by {', '.join(EXCLUDABLE)}")

    @property
    def fields(self) -> frozenset[str]:
        """The fields of the fact that something is said about, and `SEARCH` if all of them are searched.

        The time is among them only where hours do not say enough about it.
        """
        found = {field for field, choice in _CHOSEN.items() if getattr(self, choice)} | set(self._matched())
        if self.comments:
            found.add("comments")
        if self.search:
            found.add(SEARCH)
        if self.time_of_day and not day_parts.is_of_hours(self.time_of_day):
            found.add(matches.TIME)
        return frozenset(found)

    def without(self, field: str) -> Filters:
        """The same, but for what is said about one of `fields`."""
        if field == SEARCH:
            return replace(self, search="")
        if field == matches.TIME:
            return replace(self, time_of_day=None)
        return replace(
            self.unchosen([field]),
            contains=tuple(pair for pair in self.contains if pair[0] != field),
            empty=tuple(name for name in self.empty if name != field),
            filled=tuple(name for name in self.filled if name != field),
            comments="" if field == "comments" else self.comments,
        )

    def unchosen(self, fields: Iterable[str]) -> Filters:
        """The same, but for the values of these fields that are chosen or excluded."""
        fields = tuple(fields)
        said: dict[str, Any] = {choice(field): () for field in fields}
        return replace(self, excluded=tuple(pair for pair in self.excluded if pair[0] not in fields), **said)

    def where(self) -> tuple[str, list[Any]]:
        """The condition on a row of `fact_activity_event`, and the values to bind to its parameters."""
        conditions, values = self.event_conditions()
        return _and(matches.TIME, naive(self.start), naive(self.end), conditions, values)

    def where_hourly(self) -> tuple[str, list[Any]]:
        """The condition on a row of `agg_activity_hourly`; of hours at the period's ends it keeps the whole.

        What is said about a field that the aggregate does not have is left out, so that its counts are at most.
        """
        of_day, places = self.day_conditions("event_hour_utc")
        conditions, values = self.conditions(AGGREGATED)
        start = naive(floor_hour(self.start))
        return _and("event_hour_utc", start, naive(self.end), [*of_day, *conditions], [*places, *values])

    def as_dict(self) -> dict[str, Any]:
        """The filters for programs, as files carry them; times are ISO 8601, UTC, a digest is `{"sha256": …}`."""
        said = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        if not self.search:
            said["searched"] = ()
        # What is seldom chosen by is said only then.
        return {name: value for name, value in said.items() if value or name not in (*SELDOM, *_MATCHED)}

    def event_conditions(self) -> tuple[list[str], list[Any]]:
        """All that is said of an event beside its period: conditions that all hold, and the values to bind."""
        of_day, places = self.day_conditions(matches.TIME, is_event=True)
        conditions, values = self.conditions(EXCLUDABLE)
        if self.search:
            found, bound = matches.found(self.search, self.searched)
            return [*of_day, *conditions, found], [*places, *values, *bound]
        return [*of_day, *conditions], [*places, *values]

    def conditions(self, fields: Iterable[str]) -> tuple[list[str], list[Any]]:
        """What is said about these fields: conditions that all hold, and the values to bind."""
        conditions: list[str] = []
        values: list[Any] = []
        for field in fields:
            if chosen := getattr(self, choice(field)):
                named = [value for value in chosen if isinstance(value, str)]
                hashes = [value.sha256 for value in chosen if isinstance(value, Digest)]
                # DuckDB looks up a list in a file's dictionary; for IN with several values it reads every column.
                only = f"{compared(field, named[0])} = ?" if named else ""
                either = [f"list_contains(?, {field})" if len(named) > 1 else only] if named else []
                either += [f"list_contains(?, sha256({field}))"] if hashes else []
                either += [f"{field} is null"] if None in chosen else []
                conditions.append(either[0] if len(either) == 1 else f"({' or '.join(either)})")
                values += [*([named] if len(named) > 1 else named), *([hashes] if hashes else [])]
            if field == "comments" and self.comments:
                conditions.append(matches.contains(field))
                values.append(self.comments)
            texts = [text for name, text in self.contains if name == field]
            conditions += [matches.contains(field)] * len(texts)
            values += texts
            conditions += [matches.is_empty(field)] if field in self.empty else []
            conditions += [matches.is_filled(field)] if field in self.filled else []
            if excluded := [value for name, value in self.excluded if name == field]:
                found, bound = _none_of(field, excluded)
                conditions += found
                values += bound
        return conditions, values

    def day_conditions(self, time: str, *, is_event: bool = False) -> tuple[list[str], list[Any]]:
        """What is said about the weekday and the time of the day of a time (SQL, plain UTC), and the values to bind.

        An hour, which is not the time of an event, is kept if some of it may be.
        """
        said = {part: getattr(self, name) for part, name in day_parts.CHOICES.items()}
        conditions = [f"list_contains(?, {day_parts.place(part, time)})" for part, chosen in said.items() if chosen]
        values: list[Any] = [
            [day_parts.VALUES[part].index(value) for value in chosen] for part, chosen in said.items() if chosen
        ]
        if clock := self.time_of_day:
            whole = (f"list_contains(?, hour({time}))", [day_parts.hours_of(clock)])
            condition, bound = day_parts.clock_condition(clock, time) if is_event else whole
            conditions.append(condition)
            values += bound
        return conditions, values

    def _matched(self) -> list[str]:
        """The fields that are excluded or matched by."""
        return [*(field for field, _ in (*self.excluded, *self.contains)), *self.empty, *self.filled]


def _and(time: str, start: datetime, end: datetime, conditions: list[str], values: list[Any]) -> tuple[str, list[Any]]:
    return " and ".join([f"{time} >= ?", f"{time} < ?", *conditions]), [start, end, *values]


def _none_of(field: str, excluded: list[Value]) -> tuple[list[str], list[Any]]:
    """The conditions that keep none of these values, and what to bind: lists, however many values there are."""
    named = [value for value in excluded if isinstance(value, str)]
    hashes = [value.sha256 for value in excluded if isinstance(value, Digest)]
    conditions: list[str] = []
    bound: list[Any] = []
    for text, values in ((field, named), (f"sha256({field})", hashes)):
        if len(values) == 1:
            conditions.append(f"{text} is distinct from ?")
            bound += values
        elif values:
            conditions.append(f"({field} is null or not list_contains(?, {text}))")
            bound.append(values)
    return [*conditions, *([f"{field} is not null"] if None in excluded else [])], bound


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return iso(value)
        case Digest():
            return {"sha256": value.sha256}
        case time():
            return value.strftime("%H:%M")
        case tuple():
            return tuple(map(_plain, value))
    return value


def chosen_texts(filters: Filters) -> dict[str, str]:
    """What the filters choose and exclude by, for people: each list or text that says something, under its name."""
    said = {title: getattr(filters, CHOICES[field]) for field, title in LISTS.items()}
    texts = {title: _listed(map(whole_text, values)) for title, values in said.items() if values}
    if filters.comments:
        texts["Comments contain"] = filters.comments
    for name, title in SELDOM.items():
        if values := getattr(filters, name):
            texts[title] = _listed(map(whole_text, values))
    for title, text in matched_texts(filters):
        texts[title] = f"{texts[title]}, {text}" if title in texts else text
    if filters.excluded:
        texts["Excluded"] = _listed(f"{field}: {whole_text(value)}" for field, value in filters.excluded)
    return texts


def matched_texts(filters: Filters) -> list[tuple[str, str]]:
    """What is matched, for people: each condition's name, and its text."""
    found = [(f"{_TITLES[field]} contains", text) for field, text in filters.contains]
    for name, named in (("Empty", filters.empty), ("Not empty", filters.filled)):
        found += [(name, _listed(_TITLES[field] for field in named))] if named else []
    if filters.time_of_day:
        found.append(("Time of day (UTC)", day_parts.clock_text(filters.time_of_day)))
    return [*found, ("Search", filters.search)] if filters.search else found


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values)
