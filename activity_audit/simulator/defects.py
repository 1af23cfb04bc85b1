"""The defects of simulated feeds: records that differ from clean events, and whose fate is known for certain.

Each maker takes an event and gives the record that is delivered in its place and what must become of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from activity_audit.base import catalogue
from activity_audit.base.vocabulary import FAILURE, SUCCESS
from activity_audit.simulator import files, profiles, spellings
from activity_audit.simulator.events import HOUR_MS, Event, time_text
from activity_audit.simulator.spellings import Place

_DAY_MS = 24 * HOUR_MS
_TOO_LARGE_BYTES = 1_048_576
_OFFSETS_MINUTES = (120, -300, 330, 60, -480)
_BAD_TIMES = (
    "yesterday at noon",
    "2026-02-30T10:00:00Z",
    "2026-13-01T00:00:00Z",
    "n/a",
    "13/45/2026 10:00:00 AM",
)
_BAD_OUTCOMES = ("PARTIAL", "UNKNOWN", "OK", "SUCCESSFUL")
_REASON_PAIRS = (
    ("missing_entity", "missing_activity"),
    ("missing_event_id", "invalid_outcome"),
    ("missing_outcome", "invalid_event_time"),
    ("missing_event_time", "missing_activity"),
    ("event_time_in_future", "invalid_outcome"),
)

Disposition = Literal["accepted", "duplicate", "quarantined", "redelivered"]


class Fate(NamedTuple):
    """What must become of a record; `redelivered`: a duplicate if the hour before was taken, else accepted."""

    disposition: Disposition
    reasons: tuple[str, ...] = ()
    offset: bool = False
    late: bool = False
    foreign: bool = False
    undocumented: bool = False


Made = tuple[files.Record, Fate]


def make(kind: str, event: Event, place: Place) -> Made:
    """The record of this kind.

    `event` is one of its own for most kinds, but the original for `duplicate` and `event_id_conflict`, and
    for `redelivered` an event of the hour before, its `at` counted from this hour.
    """
    if kind in _REASONS:
        return _REASONS[kind](event, place), Fate("quarantined", (kind,))
    return _OTHERS[kind](event, place)


def _blank(event: Event, field: str, place: Place) -> Event:
    return _changed(event, field, place.random.choice((None, "", "  ")))


def _changed(event: Event, field: str, value: str | None) -> Event:
    return event._replace(**{field: value})  # type: ignore[arg-type]


def _at(event: Event, at: int, place: Place) -> Event:
    return event._replace(at=at, event_time=time_text(place.hour, at, place.file_format.spelling))


def _in_future(event: Event, place: Place) -> Event:
    ahead = place.random.choice((60_000, HOUR_MS, _DAY_MS, 2 * _DAY_MS)) + place.random.randrange(3600) * 1000
    return _at(event, 2 * HOUR_MS + ahead, place)


def _bad_time(event: Event, place: Place) -> Event:
    bad = list(_BAD_TIMES)
    if place.file_format.spelling != "report":
        # Good as the report's column, but this column does not bear its name.
        bad.append(time_text(place.hour, event.at // 1000 * 1000, "report"))
    return event._replace(event_time=place.random.choice(bad))


def _conflicting(original: Event, place: Place) -> Event:
    changes = (
        ("outcome", FAILURE if original.outcome == SUCCESS else SUCCESS),
        ("comments", "Corrected after the fact"),
        ("instance", f"{original.instance}-2"),
    )
    return _changed(original, *place.random.choice(changes))


_REASONS: dict[str, Callable[[Event, Place], Event]] = {
    "too_large": lambda event, place: event._replace(comments="x" * _TOO_LARGE_BYTES),
    "missing_event_id": lambda event, place: _blank(event, "event_id", place),
    "missing_event_time": lambda event, place: _blank(event, "event_time", place),
    "missing_entity": lambda event, place: _blank(event, "entity", place),
    "missing_activity": lambda event, place: _blank(event, "activity", place),
    "missing_outcome": lambda event, place: _blank(event, "outcome", place),
    "invalid_event_time": _bad_time,
    "event_time_zone_unknown": lambda event, place: event._replace(
        event_time=time_text(place.hour, event.at, "camel").removesuffix("Z")
    ),
    "event_time_in_future": _in_future,
    "invalid_outcome": lambda event, place: event._replace(outcome=place.random.choice(_BAD_OUTCOMES)),
    "event_id_conflict": _conflicting,
}


def _two_reasons(event: Event, place: Place) -> Made:
    reasons = place.random.choice(_REASON_PAIRS)
    for reason in reasons:
        event = _REASONS[reason](event, place)
    return event, Fate("quarantined", reasons)


def _unparseable(event: Event, place: Place) -> Made:
    spelling, choice = place.file_format.spelling, place.random.randrange(6)
    if place.file_format.layout == "csv":
        extra_field = profiles.profile(place.slug).extra_field
        row = list(files.csv_values(spelling, extra_field)(event._replace(comments="")))
        text = files.csv_row([*row, "surplus", "columns"] if choice % 2 else row[:-3])
        return text.encode(), Fate("quarantined", ("unparseable",))
    text = files.json_text(event, spelling)
    lines = (
        text[: len(text) // 2].encode(),
        text[:-1].encode() + b',"note":"caf\xe9 \xff"}',
        text[:-1].encode() + b",}",
        b'["' + (event.event_id or "").encode() + b'"]',
        b'"end of export"',
        b"ERROR upstream timed out",
    )
    return lines[choice], Fate("quarantined", ("unparseable",))


def _accepted(event: Event, place: Place, *, offset: bool = False, foreign: str | None = None) -> Made:
    name = profiles.application(foreign or place.slug).name
    unknown = not profiles.is_documented(name, event.entity or "", event.activity or "")
    return event, Fate("accepted", (), offset, event.at < 0, foreign is not None, unknown)


def _foreign(event: Event, place: Place) -> Made:
    other = place.random.choice([slug for slug in catalogue.report_prompt_slugs() if slug != place.slug])
    kinds, weights = profiles.pairs(other)
    ((entity, activity),) = place.random.choices(kinds, cum_weights=weights)
    application = profiles.application(other)
    name = place.random.choice((application.name, application.name, *application.aliases))
    changed = event._replace(application=name, entity=entity, activity=activity)
    return _accepted(changed, place, foreign=other)


def _offset(event: Event, place: Place) -> Made:
    return _accepted(spellings.with_offset(event, place, place.random.choice(_OFFSETS_MINUTES)), place, offset=True)


def _late(event: Event, place: Place) -> Made:
    hours = min(place.random.expovariate(1 / 6), 71)
    return _accepted(_at(event, -1000 - int(hours * 3600) * 1000, place), place)


def _very_late(event: Event, place: Place) -> Made:
    return _accepted(_at(event, -30 * _DAY_MS + event.at // 1000 * 1000, place), place)


def _name_variant(event: Event, place: Place) -> Made:
    variants = spellings.variants(event.entity or "")
    return _accepted(event._replace(entity=place.random.choice(variants)) if variants else event, place)


def _duplicate(event: Event, place: Place) -> Made:
    if place.random.random() < 0.5:
        event = spellings.respelled(event, place)
    elif place.file_format.spelling != "report" and place.random.random() < 0.3:
        event = spellings.with_offset(event, place, place.random.choice(_OFFSETS_MINUTES))
    return event, Fate("duplicate")


def _redelivered(event: Event, place: Place) -> Made:
    if place.random.random() < 0.3:
        event = spellings.respelled(event, place)
    record, fate = _accepted(event, place)
    return record, fate._replace(disposition="redelivered")


_OTHERS: dict[str, Callable[[Event, Place], Made]] = {
    "two_reasons": _two_reasons,
    "unparseable": _unparseable,
    "duplicate": _duplicate,
    "redelivered": _redelivered,
    "offset": _offset,
    "foreign_application": _foreign,
    "undocumented_activity": lambda event, place: _accepted(event._replace(activity="Synthetic Undocumented"), place),
    "undocumented_entity": lambda event, place: _accepted(
        event._replace(entity="Synthetic Widget", activity="Synthetic View"), place
    ),
    "empty_application": lambda event, place: _accepted(_blank(event, "application", place), place),
    "name_variant": _name_variant,
    "respelled": lambda event, place: _accepted(spellings.respelled(event, place), place),
    "very_late": _very_late,
    "late": _late,
}
