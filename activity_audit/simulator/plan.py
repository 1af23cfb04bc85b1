"""How many records each feed delivers in an hour, and which defects are among them.

A plan looks at one hour and the sizes of the hour before, never at the range that is simulated.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR
from activity_audit.simulator import profiles
from activity_audit.simulator.events import Scenario

# From this many events an hour on, every kind of defect is in every hour.
ALL_KINDS_FROM = 200
# Below it, one record in so many is a defect, and the kinds take turns.
_RECORDS_PER_DEFECT = 8
_TOO_LARGE_EVERY_HOURS = 6
_QUARANTINED_SHARE = 0.005

_QUARANTINE_KINDS = (
    "unparseable",
    "event_time_zone_unknown",
    "event_id_conflict",
    "missing_event_id",
    "missing_event_time",
    "missing_entity",
    "missing_activity",
    "missing_outcome",
    "invalid_event_time",
    "event_time_in_future",
    "invalid_outcome",
    "two_reasons",
)
# Share of all records, by kind. Kinds that only some formats can carry come first, while there is room.
SHARES: dict[str, float] = {
    "too_large": 0.0,
    **{kind: _QUARANTINED_SHARE / len(_QUARANTINE_KINDS) for kind in _QUARANTINE_KINDS},
    "redelivered": 0.005,
    "offset": 0.004,
    "duplicate": 0.005,
    "foreign_application": 0.002,
    "undocumented_activity": 0.001,
    "undocumented_entity": 0.0005,
    "empty_application": 0.004,
    "name_variant": 0.01,
    "respelled": 0.004,
    "very_late": 0.0005,
    "late": 0.018,
}


@dataclass(frozen=True)
class HourPlan:
    """Per feed: how many records its hour has, and the kinds of the defects that are among them."""

    counts: dict[str, int]
    defects: dict[str, list[str]]


def plan_hour(scenario: Scenario, hour: datetime) -> HourPlan:
    """The plan of an hour over all feeds of the report prompt; the counts' sum is the scenario's number."""
    counts = _counts(scenario, hour)
    defects: dict[str, list[str]] = {slug: [] for slug in counts}
    if not scenario.defects:
        return HourPlan(counts, defects)
    before = _counts(scenario, hour - HOUR)
    # Half of every feed stays clean: originals for duplicates, and what the next hour may deliver again.
    room = {slug: count // 2 for slug, count in counts.items()}
    again = {slug: count - count // 2 for slug, count in before.items()}
    random = scenario.random(hour, "*", "defects")
    for kind in _kinds(scenario, hour):
        fit = [
            slug
            for slug, places in room.items()
            if places and can_carry(kind, profiles.file_format(slug, hour)) and (kind != "redelivered" or again[slug])
        ]
        if not fit:
            continue
        (slug,) = random.choices(fit, weights=[room[slug] for slug in fit])
        room[slug] -= 1
        if kind == "redelivered":
            again[slug] -= 1
        defects[slug].append(kind)
    return HourPlan(counts, defects)


def can_carry(kind: str, file_format: profiles.FileFormat) -> bool:
    """Whether a defect of this kind can stand in such a file, and its fate is certain there."""
    if kind == "too_large":
        return file_format.layout == "lines"
    if kind == "unparseable":
        return file_format.layout in ("lines", "csv")
    # Under the report's own column names times are UTC, whatever zone they lack.
    return kind not in ("event_time_zone_unknown", "offset") or file_format.spelling != "report"


def _counts(scenario: Scenario, hour: datetime) -> dict[str, int]:
    """The hour's records divided among the feeds; a small feed gets its one record in some of the hours."""
    random = scenario.random(hour, "*", "counts")
    slugs = catalogue.report_prompt_slugs()
    weights = [profiles.activity_weight(slug, hour) * random.uniform(0.8, 1.2) for slug in slugs]
    scale, offset = scenario.events_per_hour / sum(weights), random.random()
    counts: dict[str, int] = {}
    taken, reached = 0, 0.0
    for slug, weight in zip(slugs, weights, strict=True):
        reached += weight * scale
        upto = scenario.events_per_hour if slug == slugs[-1] else math.floor(reached + offset)
        counts[slug] = max(0, min(upto, scenario.events_per_hour) - taken)
        taken += counts[slug]
    return counts


def _kinds(scenario: Scenario, hour: datetime) -> list[str]:
    """The defects of an hour, one entry each, in the order in which they find their places."""
    total = scenario.events_per_hour
    if total >= ALL_KINDS_FROM:
        numbers = {kind: max(1, round(share * total)) for kind, share in SHARES.items()}
    else:
        index = profiles.hour_index(hour)
        turns = range(index * total // _RECORDS_PER_DEFECT, (index + 1) * total // _RECORDS_PER_DEFECT)
        kinds = list(SHARES)
        numbers = dict(Counter(kinds[turn % len(kinds)] for turn in turns))
    # One of a megabyte is enough, and not in every hour.
    large = min(numbers.get("too_large", 0), 1) if hour.hour % _TOO_LARGE_EVERY_HOURS == 0 else 0
    return [kind for kind in SHARES for _ in range(large if kind == "too_large" else numbers.get(kind, 0))]
