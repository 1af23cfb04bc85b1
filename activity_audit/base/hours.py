"""Arithmetic on feed hours: the UTC hours of delivery by which everything is partitioned.

A feed hour is an aware UTC datetime at minute zero. Nothing here knows Dagster or the warehouse.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

Unit = Literal["hour", "day", "week", "month"]

HOUR = timedelta(hours=1)
PARTITION_FORMAT = "%Y-%m-%d-%H:%M"
# How a feed hour is written in paths, of deliveries and of the raw lake.
HOUR_FOLDER = "%Y-%m-%d/%H"
# Early enough for any history that a tenant may bring; no feed hour is before it.
EARLIEST_YEAR = 2015
# A silence longer than this between two deliveries is a new beginning, not a month of missing hours.
LONGEST_GAP = timedelta(days=31)


def parse_time(text: str) -> datetime:
    """An ISO 8601 time as an aware UTC datetime; without a zone it is UTC. A date is its midnight.

    Raises:
        ValueError: if the text is no ISO 8601 date or time, or one at the calendar's very ends.
    """
    try:
        value = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not an ISO 8601 time; write for example 2026-05-01T00:00:00Z") from None
    try:
        utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        ceil_hour(utc)
    except OverflowError:
        raise ValueError(f"{text!r} is outside the calendar") from None
    return utc


def floor_hour(value: datetime) -> datetime:
    """The feed hour that `value` lies in."""
    return value.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def ceil_hour(value: datetime) -> datetime:
    """The first feed hour that begins at or after `value`."""
    floor = floor_hour(value)
    return floor if floor == value else floor + HOUR


def hour_range(start: datetime, end: datetime) -> Iterator[datetime]:
    """Every feed hour that begins in [start, end)."""
    hour = ceil_hour(start)
    while hour < end:
        yield hour
        hour += HOUR


def now_utc() -> datetime:
    """The current time, aware, UTC."""
    return datetime.now(UTC)


def partition_key(hour: datetime) -> str:
    """The feed hour as Dagster's hourly partition key."""
    return hour.strftime(PARTITION_FORMAT)


def from_partition_key(key: str) -> datetime:
    """The feed hour that a partition key names."""
    return datetime.strptime(key, PARTITION_FORMAT).replace(tzinfo=UTC)


def from_hour_folder(path: str) -> datetime:
    """The feed hour that `<YYYY-MM-DD>/<HH>` names.

    Raises:
        ValueError: if it names none.
    """
    return datetime.strptime(path, HOUR_FOLDER).replace(tzinfo=UTC)


def iso(value: datetime) -> str:
    """An aware time as ISO 8601 text in UTC with `Z`, to the second where it has no fraction."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def interval(start: datetime, end: datetime) -> str:
    """The feed hours in [start, end), aware: an hour as its beginning, several as an ISO 8601 interval."""
    return iso(start) if end - start <= HOUR else f"{iso(start)}/{iso(end)}"


def naive(value: datetime) -> datetime:
    """The same UTC instant as the warehouse stores it: a plain timestamp."""
    return value.astimezone(UTC).replace(tzinfo=None)


def aware(value: datetime) -> datetime:
    """A plain UTC timestamp of the warehouse as an aware datetime."""
    return value.replace(tzinfo=UTC)


def contiguous_ranges(
    hours: Iterable[datetime], longest_gap: timedelta = LONGEST_GAP
) -> list[tuple[datetime, datetime]]:
    """The hours as half-open ranges, in order; a gap no longer than `longest_gap` is bridged."""
    ranges: list[tuple[datetime, datetime]] = []
    for hour in sorted(set(hours)):
        if ranges and hour - ranges[-1][1] <= longest_gap:
            ranges[-1] = (ranges[-1][0], hour + HOUR)
        else:
            ranges.append((hour, hour + HOUR))
    return ranges


def unit_begin(time: datetime, unit: Unit) -> datetime:
    """The beginning of the unit that a UTC time lies in, plain or aware as the time is; a week begins on Monday."""
    hour = time.replace(minute=0, second=0, microsecond=0)
    if unit == "hour":
        return hour
    day = hour.replace(hour=0)
    if unit == "day":
        return day
    return day - timedelta(days=day.weekday()) if unit == "week" else day.replace(day=1)


def unit_end(begin: datetime, unit: Unit) -> datetime:
    """The end of the unit that begins at this time, which is the beginning of the next."""
    if unit == "month":
        return unit_begin(begin + timedelta(days=31), unit)
    return begin + {"hour": HOUR, "day": timedelta(days=1), "week": timedelta(weeks=1)}[unit]
