"""What the tests of the report's queries share: varied events, and what the plain rows answer by rules of their own."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any

from activity_audit.base.catalogue import applications, entity_activities, normalised_name
from activity_audit.report.queries.orders import Order
from activity_audit.report.queries.warehouse import Warehouse
from activity_audit.settings.core import Settings
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.filters import NAMES, Filters
from tests.integration.support import event, until

TITLES = [column.field for column in COLUMNS]
START, END = datetime(2026, 4, 28, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC)
WHOLE = Filters(START, END)
RAGGED = Filters(datetime(2026, 4, 29, 9, 20, tzinfo=UTC), datetime(2026, 5, 1, 10, 17, 0, 5, tzinfo=UTC))
_WORDS = (None, "", "Reviewed", "REVIEWED again", "100% _done_", "naïve ÄRGER", "\u202ertl", "a'b; drop table x --")
FILTERS = [
    WHOLE,
    RAGGED,
    Filters(START, END, applications=("UserHub",), outcomes=("FAILURE",)),
    Filters(START, END, entities=("Search", "User"), excluded=(("activity", "login"),)),
    Filters(START, END, triggered_by=(None, "zoë@x.example")),
    Filters(START, END, comments="rEVIEWED"),
    Filters(START, END, comments="ärger", instances=(None, "é")),
    Filters(START, END, comments="% _"),
    Filters(START, END, excluded=(("comments", None), ("triggered_by", "ann@x.example"), ("application", "Search"))),
    Filters(RAGGED.start, RAGGED.end, excluded=(("comments", "a'b; drop table x --"),)),
    Filters(START, END, excluded=(("comments", "Reviewed"), ("comments", ""), ("instance", "1"), ("instance", "2"))),
    Filters(START, END, excluded=(("entity", "User"), ("entity", "Chat"), ("activity", "none"))),
    Filters(START, END, comments_are=("Reviewed", None)),
    Filters(RAGGED.start, RAGGED.end, weekdays=("friday", "wednesday"), outcomes=("FAILURE",)),
    Filters(START, END, hours_of_day=("10", "08"), triggered_by=(None, "zoë@x.example")),
    Filters(START, END, weekdays=("thursday",), comments="rEVIEWED"),
    Filters(START, END, contains=(("activity", "LOG"), ("triggered_by", "ZOË")), filled=("instance", "comments")),
    Filters(RAGGED.start, RAGGED.end, empty=("comments",), time_of_day=(time(7), time(11)), entities=("search",)),
    Filters(START, END, contains=(("entity", "se"),), time_of_day=(time(10, 15), time(7, 30)), outcomes=("FAILURE",)),
    Filters(START, END, search="rch", filled=("triggered_by",), triggered_by=("ann@x.example",)),
    Filters(START, END, search=" 10:15:00", time_of_day=(time(10), time(11)), triggered_by=("ann@x.example",)),
    Filters(START, END, applications=("Nobody",)),
]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def varied_records() -> list[dict[str, Any]]:
    """Events with ties to the microsecond, nulls, several spellings, and an hour that has most of them."""
    chosen = random.Random(7)
    records = []
    for number in range(400):
        hours = 0 if number % 2 else chosen.choice((3, 20, 26, 50, 70))
        at = datetime(2026, 5, 1, 10, 15, tzinfo=UTC) - timedelta(hours=hours, microseconds=chosen.randrange(4))
        application, entity, activity = chosen.choice(
            (("Search", "Search", "Search query"), ("Search", "SEARCH", "Search query"),
             ("UserHub", "User", "login"), ("UserHub", "User", "logout"), ("Analytics", "Chat", "Interaction Viewed"))
        )  # fmt: skip
        records.append(
            event(
                f"e-{chosen.randrange(10**9):09}-{number}",
                eventTime=at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                application=application,
                entity=entity,
                activity=activity,
                outcome=chosen.choice(("SUCCESS", "SUCCESS", "FAILURE")),
                triggeredBy=chosen.choice((None, "zoë@x.example", "Zoë@x.example", "ann@x.example")),
                instance=chosen.choice((None, "1", "2", "é")),
                comments=chosen.choice(_WORDS),
            )
        )
    return records


def counted(warehouse: Warehouse) -> bool:
    """Whether the newest snapshot has its events counted by who triggered them."""
    with warehouse.query() as asked:
        return asked.has_people


@contextmanager
def counted_warehouse(home: Settings) -> Iterator[Warehouse]:
    """What the report asks a home with, once its events are counted by who triggered them."""
    warehouse = Warehouse(home)
    until(lambda: counted(warehouse))
    yield warehouse
    warehouse.close()


def same(field: str, value: Any, other: Any) -> bool:
    """Whether both are one value: names are, however they are spelled."""
    if field in NAMES and value is not None and other is not None:
        return normalised_name(value) == normalised_name(other)
    return value == other


def labelled(rows: list[dict[str, Any]], chosen: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The rows, or some of them, with the label of each name in place of its spelling, by rules written a second time.

    It is the catalogue's, else the spelling of the most of all rows, of as many the smallest.
    """
    catalogue = {
        "application": [one.name for one in applications()],
        "entity": [one.entity for one in entity_activities()],
        "activity": [one.activity for one in entity_activities() if one.activity],
    }
    labels = {}
    for field in NAMES:
        counts = Counter(row[field] for row in rows)
        for spelling in counts:
            documented = [name for name in catalogue[field] if same(field, name, spelling)]
            alike = sorted((one for one in counts if same(field, one, spelling)), key=lambda one: (-counts[one], one))
            labels[field, spelling] = [*documented, *alike][0]
    return [
        {field: labels.get((field, value), value) for field, value in row.items()}
        for row in (rows if chosen is None else chosen)
    ]


def kept_by(rows: list[dict[str, Any]], filters: Filters) -> list[dict[str, Any]]:
    """The rows that the filters keep, by rules written a second time."""
    lists_of = {
        "application": filters.applications, "entity": filters.entities, "activity": filters.activities,
        "outcome": filters.outcomes, "triggered_by": filters.triggered_by, "instance": filters.instances,
        "event_id": filters.event_ids, "comments": filters.comments_are,
    }  # fmt: skip
    return [
        row
        for row in rows
        if filters.start <= row["event_time_utc"].replace(tzinfo=UTC) < filters.end
        and all(any(same(field, row[field], value) for value in chosen) for field, chosen in lists_of.items() if chosen)
        and filters.comments.lower() in (row["comments"] or "").lower()
        and (not filters.comments or row["comments"] is not None)
        and (not filters.weekdays or WEEKDAYS[row["event_time_utc"].weekday()] in filters.weekdays)
        and (not filters.hours_of_day or f"{row['event_time_utc'].hour:02}" in filters.hours_of_day)
        and not any(same(field, row[field], value) for field, value in filters.excluded)
        and all(text.lower() in (row[field] or "").lower() for field, text in filters.contains)
        and not any(row[field] for field in filters.empty)
        and all(row[field] for field in filters.filled)
        and is_at(row["event_time_utc"].time(), filters.time_of_day)
        and any(filters.search.lower() in str(row[field] or "").lower() for field in filters.searched)
    ]


def is_at(moment: time, clock: tuple[time, time] | None) -> bool:
    """Whether the time of day is in the span, which may go on after midnight."""
    if clock is None:
        return True
    first, last = clock
    return first <= moment < last if first < last else not last <= moment < first


def in_order(rows: list[dict[str, Any]], order: Order) -> list[tuple[Any, ...]]:
    """The rows in that order, nulls last, as pages have them: texts first without case and accents, ids as they are."""

    def place(field: str, value: Any) -> Any:
        if field in ("event_time_utc", "event_id"):
            return value
        plain = "".join(sign for sign in unicodedata.normalize("NFD", value) if not unicodedata.combining(sign))
        return plain.lower(), value

    ordered = list(rows)
    for field, descending in reversed(order.terms):
        known = sorted(
            (row for row in ordered if row[field] is not None),
            key=lambda row: place(field, row[field]),
            reverse=descending,
        )
        ordered = known + [row for row in ordered if row[field] is None]
    return [tuple(row[field] for field in TITLES) for row in ordered]


def by_outcome(rows: list[dict[str, Any]], field: str) -> dict[Any, tuple[int, int]]:
    """How many successes and failures each value of a field has."""
    counts = Counter((row[field], row["outcome"]) for row in rows)
    return {value: (counts[value, "SUCCESS"], counts[value, "FAILURE"]) for value, _ in counts}
