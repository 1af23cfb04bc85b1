"""Coverage: the feed hours of a period that runs have looked at, and the state of each.

Every page, file and command that says whether a period is complete says it by `coverage_by`. An hour that no run has
looked at is neither complete nor missing: nothing is known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal

import duckdb

from activity_audit.base.hours import HOUR, Unit, floor_hour, naive, unit_begin, unit_end

Rows = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
Level = Literal["good", "bad", "unknown"]
# How much of a stretch of time was looked at.
Looked = Literal["wholly", "partly", "not"]
_BESIDE = timedelta(days=40)
# A look at an hour that was not over yet does not say that all of it came.
IS_LOOKED_AT = "(reconciled_at_utc >= feed_hour_utc + interval 1 hour or status <> 'balanced')"


@dataclass(frozen=True)
class Coverage:
    """Numbers of feed hours, each of one feed.

    Attributes:
        expected: those of expected feeds that are due, or that a run has looked at already.
        unknown: of these, those that no run has looked at since they were over.
        before: of the unknown, those before the first feed hour that the warehouse knows.
        waiting: of expected feeds, those that are not due yet and that no run has looked at.
        recorded: those of any feed that a run has looked at.
        missing: of the recorded, those that brought nothing and had to.
        incomplete: of the recorded, those that are not what their manifest says.
    """

    expected: int = 0
    unknown: int = 0
    before: int = 0
    waiting: int = 0
    recorded: int = 0
    missing: int = 0
    incomplete: int = 0

    def __add__(self, other: Coverage) -> Coverage:
        names = [field.name for field in fields(self)]
        return Coverage(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def level(self) -> Level:
        """`good` only if every hour that is due was looked at and found complete."""
        if self.missing or self.incomplete:
            return "bad"
        return "unknown" if self.unknown or not self.expected else "good"

    def as_dict(self) -> dict[str, Any]:
        """For programs: the numbers, and their `level`."""
        return asdict(self) | {"level": self.level}

    @property
    def says(self) -> str:
        """For people: all there is to say, the worst first."""
        return ", ".join(text for _, text in self.parts)

    @property
    def looked(self) -> Looked:
        """How much of what is due was looked at; of feeds that are not expected, whether anything is recorded."""
        if not self.recorded:
            return "not"
        return "partly" if self.unknown or self.waiting else "wholly"

    @property
    def parts(self) -> list[tuple[Level, str]]:
        """What there is to say, the worst first, each with its level."""
        said: list[tuple[Level, str]] = []
        if self.missing:
            said.append(("bad", f"{_hours(self.missing)} missing"))
        if self.incomplete:
            said.append(("bad", f"{_hours(self.incomplete)} incomplete"))
        if self.unknown:
            of = f"{self.unknown:,} of {_hours(self.expected)} not looked at"
            before = f", {self.before:,} of them before the first that was loaded" if self.before else ""
            said.append(("unknown", of + before))
        elif not self.expected and self.recorded:
            said.append(("unknown", f"{_hours(self.recorded)} recorded, of feeds that need not deliver"))
        elif not self.expected:
            said.append(("unknown", "no feed hour is due yet" if self.waiting else "no feed hour is recorded"))
        elif not said:
            said.append(("good", f"all {_hours(self.expected)} complete"))
        return said


@dataclass(frozen=True)
class Scope:
    """Whose hours count, and since when they are due.

    Attributes:
        expected: the feeds that may not be silent.
        feeds: the feeds that are asked about; none named means all.
        until: hours that begin at or after this time, aware, are not due yet.
    """

    expected: tuple[str, ...]
    feeds: tuple[str, ...]
    until: datetime


def scope(expected: Collection[str], feeds: Collection[str], now: datetime, freshness: timedelta) -> Scope:
    """The scope of a question that is asked `now` (aware), of a source that has until `freshness` after the hour."""
    chosen = tuple(feed for feed in sorted(expected) if not feeds or feed in feeds)
    return Scope(chosen, tuple(sorted(feeds)), due(now, freshness))


def due(now: datetime, freshness: timedelta) -> datetime:
    """The end of the newest feed hour that is due `now` (aware): one that has been over for `freshness`.

    By this alone an hour counts as missing, and data as stale.
    """
    return floor_hour(now - freshness)


def coverage(rows: Rows, start: datetime, end: datetime, scope: Scope) -> Coverage:
    """The coverage of the feed hours that overlap [start, end), aware."""
    return total(coverage_by(rows, start, end, scope, None).values())


def rows_of(connection: duckdb.DuckDBPyConnection) -> Rows:
    """What answers on a connection."""
    return lambda sql, values: connection.execute(sql, list(values)).fetchall()


def total(parts: Iterable[Coverage]) -> Coverage:
    """The sum."""
    return sum(parts, Coverage())


def coverage_by(
    rows: Rows, start: datetime, end: datetime, scope: Scope, unit: Unit | None
) -> dict[tuple[str, datetime], Coverage]:
    """The coverage of the feed hours that overlap [start, end), aware, by feed and unit of time (its beginning, plain
    UTC), or by feed alone (under the period's beginning).

    `rows` answers SQL with bound values, of a connection that has the warehouse as `audit`. Every expected feed has
    all units; another feed those in which something is recorded.
    """
    first, last, due = naive(floor_hour(start)), naive(end), naive(scope.until)
    slot = f"date_trunc('{unit}', feed_hour_utc)" if unit else "cast(? as timestamp)"
    found = rows(
        f"""
        select
            feed, {slot}, count(*) filter ({IS_LOOKED_AT}), count(*) filter ({IS_LOOKED_AT} and feed_hour_utc >= ?),
            count(*) filter (status = 'missing'), count(*) filter (status = 'incomplete')
        from audit.quality.feed_reconciliation
        where feed_hour_utc >= ? and feed_hour_utc < ? and (len(?) = 0 or list_contains(?, feed))
        group by all
        """,
        [*([] if unit else [first]), due, first, last, list(scope.feeds), list(scope.feeds)],
    )
    oldest = rows("select min(feed_hour_utc) from audit.quality.feed_reconciliation", [])[0][0]
    recorded = {(feed, at): counts for feed, at, *counts in found}
    slots = _slots(first, last, unit)
    places = dict.fromkeys([(feed, at) for feed in scope.expected for at in slots] + list(recorded))
    result = {}
    for feed, at in places:
        looked, early, missing, incomplete = recorded.get((feed, at), (0, 0, 0, 0))
        begin, stop = slots.get(at, (at, at))
        is_expected = feed in scope.expected
        expected = _between(begin, min(stop, due)) + early if is_expected else 0
        unknown = max(0, expected - looked) if is_expected else 0
        before = _between(begin, min(stop, due, oldest or stop))
        result[feed, at] = Coverage(
            expected=expected,
            unknown=unknown,
            before=min(unknown, before),
            waiting=max(0, _between(max(begin, due), stop) - early) if is_expected else 0,
            recorded=looked,
            missing=missing,
            incomplete=incomplete,
        )
    return result


def looked_by(
    rows: Rows, start: datetime, end: datetime, scope: Scope, slots: Callable[[str], Sequence[str]]
) -> dict[tuple[Any, ...], Looked]:
    """How much of the feed hours in [start, end), aware, was looked at, by what `slots` says in SQL of an hour.

    Nothing was looked at of a slot that is not there. `rows` is as for `coverage_by`.
    """
    first, last = naive(floor_hour(start)), naive(end)
    oldest, newest = rows("select min(feed_hour_utc), max(feed_hour_utc) from audit.quality.feed_reconciliation", [])[0]
    if oldest is None:
        return {}
    # Hours of centuries need not be counted; so many days beside what is known are more than any slot has.
    first, last = max(first, oldest - _BESIDE), min(last, newest + _BESIDE)
    number = len(slots(""))
    found = rows(
        f"""
        select * exclude (hours, recorded, looked), sum(hours), sum(recorded), sum(looked)
        from (
            select {", ".join(slots("each_hour"))}, count(*), 0, 0
            from (select unnest(range(cast(? as timestamp), cast(? as timestamp), interval 1 hour)) as each_hour)
            group by all
            union all
            select
                {", ".join(slots("feed_hour_utc"))}, 0, count(*) filter ({IS_LOOKED_AT}),
                count(*) filter ({IS_LOOKED_AT} and list_contains(?, feed))
            from audit.quality.feed_reconciliation
            where feed_hour_utc >= ? and feed_hour_utc < ? and (len(?) = 0 or list_contains(?, feed))
            group by all
        ) as counted({", ".join(f"slot_{place}" for place in range(number))}, hours, recorded, looked)
        group by all
        """,
        [first, last, list(scope.expected), first, last, list(scope.feeds), list(scope.feeds)],
    )
    return {
        tuple(slot): "not" if not recorded else "partly" if looked < hours * len(scope.expected) else "wholly"
        for *slot, hours, recorded, looked in found
    }


def _slots(start: datetime, end: datetime, unit: Unit | None) -> dict[datetime, tuple[datetime, datetime]]:
    """The units' beginnings, each with what of it is in the period."""
    if unit is None:
        return {start: (start, end)}
    slots = {}
    at = unit_begin(start, unit)
    while at < end:
        after = unit_end(at, unit)
        slots[at] = (max(at, start), min(after, end))
        at = after
    return slots


def _between(start: datetime, end: datetime) -> int:
    """How many feed hours begin in [start, end), of which `start` is one."""
    return max(0, -((start - end) // HOUR))


def _hours(number: int) -> str:
    return f"{number:,} feed hour{'' if number == 1 else 's'}"
