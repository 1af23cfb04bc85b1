"""What of its time events are grouped by: the hour, day, week or month that they lie in, the weekday, the hour of day.

A group's value is a text, as a URL has it: `2026-05-31T10`, `2026-05-31`, the Monday of a week, `2026-05`, `monday`,
`10`. All of it is UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Literal, cast

from activity_audit.base.hours import Unit, aware, floor_hour, naive, unit_begin, unit_end
from activity_audit.warehouse.events import day_parts
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.long_texts import Value

TITLES = {
    "hour": "Hour (UTC)",
    "day": "Day (UTC)",
    "week": "Week (UTC)",
    "month": "Month (UTC)",
    "weekday": "Weekday (UTC)",
    "hour_of_day": "Hour of day (UTC)",
}
FIELDS = tuple(TITLES)
# Units of time, which follow one another; the others come back in every week or day.
UNITS = ("hour", "day", "week", "month")
# How much of an ISO time their values are.
_LENGTHS = {"hour": 13, "day": 10, "week": 10, "month": 7}


def grain(*fields: str) -> Literal["hour", "day", "period"]:
    """How fine the counts must be that are grouped by these fields."""
    if {"hour", "hour_of_day"}.intersection(fields):
        return "hour"
    return "day" if set(FIELDS).intersection(fields) else "period"


def sql(field: str, time: str) -> str:
    """SQL of what `value` takes, of a time that is SQL too: it sorts as the values follow one another."""
    return f"date_trunc('{field}', {time})" if field in UNITS else day_parts.place(field, time)


def value(field: str, found: datetime | int) -> str:
    """The value of what the SQL found."""
    if isinstance(found, datetime):
        return found.isoformat()[: _LENGTHS[field]]
    return day_parts.VALUES[field][found]


def found(field: str, value: str) -> datetime | int:
    """What the SQL finds for a value."""
    return begin(field, value) if field in UNITS else day_parts.VALUES[field].index(value)


def begin(field: str, value: str) -> datetime:
    """The beginning (plain UTC) of the unit of time that has this value.

    Raises:
        ValueError: if it is none, or none begins there.
    """
    at = datetime.fromisoformat(f"{value}-01" if field == "month" else value)
    if at.isoformat()[: _LENGTHS[field]] != value or at != unit_begin(at, cast(Unit, field)):
        raise ValueError(f"no {field} begins at {value}")
    unit_end(at, cast(Unit, field))
    return at


def span(field: str, value: str) -> tuple[datetime, datetime]:
    """The beginning and the end (aware) of the unit of time that has this value."""
    at = begin(field, value)
    return aware(at), aware(unit_end(at, cast(Unit, field)))


def is_value(field: str, value: object) -> bool:
    """Whether the field may have this value."""
    if field not in UNITS:
        return value in day_parts.VALUES[field]
    try:
        return isinstance(value, str) and bool(begin(field, value))
    except (ValueError, OverflowError):
        return False


def title(field: str, value: str) -> str:
    """The value for people: `2026-05-31 10:00`, `week of 2026-05-25`, `Monday`, `10:00`."""
    if field == "week":
        return f"week of {value}"
    if field == "weekday":
        return value.capitalize()
    return f"{value.replace('T', ' ')}:00" if field in ("hour", "hour_of_day") else value


def short_title(field: str, value: str) -> str:
    """The same where there is little room."""
    match field:
        case "weekday":
            return value[:3].capitalize()
        case "hour_of_day":
            return value
        case "hour":
            return f"{value[5:].replace('T', ' ')}:00"
    return value


def values(field: str, filters: Filters, most: int) -> list[str] | None:
    """The values that the filters' period has, in their order; None if there are more than `most`."""
    if field not in UNITS:
        if field == "hour_of_day":
            return _hours_of_day(filters)
        return [one for one in day_parts.WEEKDAYS if _is_chosen(filters.weekdays, one)]
    units = list(islice(_units(cast(Unit, field), filters), most + 1))
    return [value(field, at) for at in units] if len(units) <= most else None


def _units(unit: Unit, filters: Filters) -> Iterator[datetime]:
    at, stop = unit_begin(naive(floor_hour(filters.start)), unit), naive(filters.end)
    hours = _hours_of_day(filters)
    while at < stop:
        is_day = unit not in ("hour", "day") or _is_chosen(filters.weekdays, day_parts.WEEKDAYS[at.weekday()])
        if is_day and (unit != "hour" or day_parts.HOURS_OF_DAY[at.hour] in hours):
            yield at
        at = unit_end(at, unit)


def _hours_of_day(filters: Filters) -> list[str]:
    clock = filters.time_of_day
    of_clock = [day_parts.HOURS_OF_DAY[hour] for hour in day_parts.hours_of(clock)] if clock else day_parts.HOURS_OF_DAY
    return [one for one in of_clock if _is_chosen(filters.hours_of_day, one)]


def _is_chosen(chosen: tuple[Value, ...], value: str) -> bool:
    return not chosen or value in chosen
