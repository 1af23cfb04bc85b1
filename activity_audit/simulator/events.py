"""The clean events of a simulated feed hour, and how an event's time is written.

Everything is drawn from generators whose seeds are texts, one per column, so that the first k events of an
hour are the same however many are asked for: the hour after can deliver some of them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from itertools import accumulate
from random import Random
from typing import NamedTuple

from activity_audit.base.vocabulary import OUTCOMES, SUCCESS
from activity_audit.simulator import profiles

HOUR_MS = 3_600_000
_POOL_SIZE = 500


@dataclass(frozen=True)
class Scenario:
    """What, with the hour and the feed, decides all content of a feed hour."""

    seed: int
    events_per_hour: int
    defects: bool

    def random(self, hour: datetime, slug: str, purpose: str) -> Random:
        """The generator for one purpose in one feed hour."""
        return Random(f"{self.seed}|{self.events_per_hour}|{self.defects}|{hour:%Y-%m-%dT%H}|{slug}|{purpose}")


class Event(NamedTuple):
    """A record's nine fields as they are delivered, and one that the contract does not name.

    `at` is the instant in milliseconds from the feed hour's begin; it is not delivered. A field that is None
    is left out or null.
    """

    at: int
    application: str | None
    entity: str | None
    activity: str | None
    event_time: str | None
    event_id: str | None
    triggered_by: str | None
    instance: str | None
    outcome: str | None
    comments: str | None
    extra: str | None


def clean_events(
    scenario: Scenario,
    hour: datetime,
    slug: str,
    count: int,
    spelling: profiles.Spelling,
    stream: str = "clean",
) -> list[Event]:
    """The first `count` clean events of a stream of the feed hour, in the order of drawing.

    `spelling` is the format's, for the times. The first event is always the feed's most frequent pair.
    """
    if not count:
        return []
    feed = profiles.profile(slug)

    def column(purpose: str) -> Random:
        return scenario.random(hour, slug, f"{stream} {purpose}")

    kinds, kind_weights = profiles.pairs(slug)
    drawn = column("pair").choices(kinds, cum_weights=kind_weights, k=count)
    drawn[0] = kinds[0]
    people, people_weights = profiles.users(slug)
    pool, pool_weights = _instances(scenario.seed, slug, hour.date().isoformat())
    outcomes = column("outcome").choices(OUTCOMES, cum_weights=(0.97, 1.0), k=count)
    notes = column("comments").choices(("", *profiles.COMMENTS), cum_weights=_comment_weights(), k=count)
    times = _times(column("minute"), column("second"), count, feed.milliseconds)
    ids, extra = column("id"), column("extra")
    name, failures = profiles.application(slug).name, profiles.FAILURE_NOTES
    return [
        Event(
            at,
            name,
            entity,
            activity,
            time_text(hour, at, spelling),
            event_id,
            person,
            instance,
            outcome,
            note if note or outcome == SUCCESS else failures[at // 1000 % len(failures)],
            f"{extra.getrandbits(32):08x}" if feed.extra_field and extra.random() < 0.03 else "",
        )
        for at, (entity, activity), event_id, person, instance, outcome, note in zip(
            times,
            drawn,
            [_uuid(ids) for _ in range(count)],
            column("user").choices(people, cum_weights=people_weights, k=count),
            column("instance").choices(pool, cum_weights=pool_weights, k=count),
            outcomes,
            notes,
            strict=True,
        )
    ]


def time_text(hour: datetime, at: int, spelling: profiles.Spelling) -> str:
    """The instant `at` milliseconds after the hour began, in UTC.

    ISO 8601 with `Z`; under the report's own column names as the report shows it, which knows no fraction, so
    that a time with one stays ISO there too.
    """
    if 0 <= at < HOUR_MS:
        seconds, milliseconds = divmod(at, 1000)
        if milliseconds == 0 and spelling == "report":
            before, after = _report_parts(hour)
            return f"{before}{_minute_texts()[seconds]}{after}"
        fraction = f".{milliseconds:03d}" if milliseconds else ""
        return f"{_iso_part(hour)}{_minute_texts()[seconds]}{fraction}Z"
    moment = hour + timedelta(milliseconds=at)
    floor = moment.replace(minute=0, second=0, microsecond=0)
    return time_text(floor, (moment - floor) // timedelta(milliseconds=1), spelling)


@lru_cache(maxsize=1024)
def _iso_part(hour: datetime) -> str:
    return f"{hour:%Y-%m-%dT%H}:"


@lru_cache(maxsize=1024)
def _report_parts(hour: datetime) -> tuple[str, str]:
    clock, half = (hour.hour % 12 or 12), ("AM" if hour.hour < 12 else "PM")
    return f"{hour.month}/{hour.day}/{hour.year} {clock}:", f" {half}"


@cache
def _minute_texts() -> tuple[str, ...]:
    return tuple(f"{second // 60:02d}:{second % 60:02d}" for second in range(3600))


@cache
def _comment_weights() -> tuple[float, ...]:
    share = 0.08 / len(profiles.COMMENTS)
    return (0.92, *accumulate((share for _ in profiles.COMMENTS[1:]), initial=0.92 + share))


def _times(minute: Random, second: Random, count: int, milliseconds: bool) -> Sequence[int]:
    """Instants within the hour, with a few minutes that are many times as busy as the others."""
    weights = [1.0] * 60
    for _ in range(minute.randrange(2, 5)):
        weights[minute.randrange(60)] = minute.uniform(6, 18)
    draw = second.random
    minutes = minute.choices(range(60), cum_weights=tuple(accumulate(weights)), k=count)
    # Three of four times are whole seconds; where a feed knows milliseconds, the fourth is not.
    fine = [start * 60_000 + int(draw() * 60_000) for start in minutes]
    return [at if milliseconds and at % 4 == 0 else at - at % 1000 for at in fine]


@lru_cache(maxsize=64)
def _instances(seed: int, slug: str, day: str) -> tuple[Sequence[str], Sequence[float]]:
    """The things that the feed's events are about on one day, and how popular each is."""
    random = Random(f"{seed}|{slug}|{day}|instances")
    style = profiles.profile(slug).instances
    if style == "uuid":
        pool = [_uuid(random) for _ in range(_POOL_SIZE)]
    elif style == "number":
        pool = [str(random.randrange(100_000, 99_999_999)) for _ in range(_POOL_SIZE)]
    else:
        prefix = "".join(part[0] for part in slug.split("_")).upper()
        pool = [f"{prefix}-{random.randrange(1_000, 99_999)}" for _ in range(_POOL_SIZE)]
    # Some activities are about nothing in particular.
    pool[10] = ""
    return pool, profiles.falling_weights(_POOL_SIZE)


def _uuid(random: Random) -> str:
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
