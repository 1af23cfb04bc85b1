"""One simulated feed hour: its records in file order, and the count of what must become of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter

from activity_audit.base.hours import HOUR
from activity_audit.simulator import defects, profiles
from activity_audit.simulator.events import HOUR_MS, Event, Scenario, clean_events
from activity_audit.simulator.files import Record
from activity_audit.simulator.plan import HourPlan
from activity_audit.simulator.spellings import Place
from activity_audit.warehouse.quarantine import REASONS

WARNINGS = ("offset_normalised", "late", "foreign_application", "undocumented")
_OF_AN_ORIGINAL = ("duplicate", "event_id_conflict")


@dataclass
class Tally:
    """Numbers of records by what must become of them; warnings count accepted records only."""

    accepted: int = 0
    duplicate: int = 0
    quarantined: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)

    @property
    def received(self) -> int:
        """All records, each of which has exactly one disposition."""
        return self.accepted + self.duplicate + self.quarantined

    def add(self, fate: defects.Fate, previous_taken: bool) -> None:
        """Count one record; `previous_taken` says whether the hour before its own was taken too."""
        if fate.disposition == "quarantined":
            self.quarantined += 1
            self.reasons.update(fate.reasons)
        elif fate.disposition == "duplicate" or (fate.disposition == "redelivered" and previous_taken):
            self.duplicate += 1
        else:
            self.accepted += 1
            self.warnings["offset_normalised"] += fate.offset
            self.warnings["late"] += fate.late
            self.warnings["foreign_application"] += fate.foreign
            self.warnings["undocumented"] += fate.undocumented

    def add_clean(self, events: list[Event]) -> None:
        """Count clean events, which are all accepted."""
        self.accepted += len(events)
        self.warnings["undocumented"] += sum(
            not profiles.is_documented(event[1], event[2], event[3]) for event in events
        )

    def dispositions(self) -> dict[str, int]:
        """The number of records received, and of each disposition."""
        return {
            "received": self.received,
            "accepted": self.accepted,
            "duplicate": self.duplicate,
            "quarantined": self.quarantined,
        }

    def reason_numbers(self) -> dict[str, int]:
        """For every reason, how many quarantined records have it."""
        return {reason: self.reasons[reason] for reason in REASONS}

    def warning_numbers(self) -> dict[str, int]:
        """For every warning, how many accepted records have it."""
        return {warning: self.warnings[warning] for warning in WARNINGS}

    def merge(self, other: Tally) -> None:
        """Add another's numbers."""
        self.accepted += other.accepted
        self.duplicate += other.duplicate
        self.quarantined += other.quarantined
        self.reasons.update(other.reasons)
        self.warnings.update(other.warnings)


def simulate_feed_hour(
    scenario: Scenario, plan: HourPlan, hour: datetime, slug: str, previous_taken: bool
) -> tuple[dict[str, list[Record]], Tally]:
    """The records of each of the feed hour's files, by its name, and what must become of them.

    Clean events are in the order of their times; a defect stands anywhere among them, but after the event
    that it repeats or contradicts and in the same file. Whether the hour before was taken changes only the tally.
    """
    kinds = plan.defects[slug]
    spelling = profiles.file_format(slug, hour).spelling
    clean = clean_events(scenario, hour, slug, plan.counts[slug] - len(kinds), spelling)
    clean.sort()
    tally = Tally()
    tally.add_clean(clean)
    names = profiles.file_names(slug, hour)
    # With two files the first has the hour's first half.
    first = sum(event.at < HOUR_MS // 2 for event in clean) if len(names) == 2 else len(clean)
    entries: list[tuple[float, Record]] = list(enumerate(clean))
    for position, (record, fate) in _defects(scenario, hour, slug, kinds, clean, first):
        entries.append((position, record))
        tally.add(fate, previous_taken)
    if kinds:
        entries.sort(key=itemgetter(0))
    if len(names) == 1:
        return {names[0]: [record for _, record in entries]}, tally
    return {
        names[0]: [record for position, record in entries if position <= first - 0.5],
        names[1]: [record for position, record in entries if position > first - 0.5],
    }, tally


def _defects(
    scenario: Scenario, hour: datetime, slug: str, kinds: list[str], clean: list[Event], first: int
) -> list[tuple[float, defects.Made]]:
    """The feed hour's defects, each with its position among the clean events, which stand at 0, 1, 2 …"""
    if not kinds:
        return []
    file_format = profiles.file_format(slug, hour)
    random = scenario.random(hour, slug, "defects")
    place = Place(hour, slug, file_format, random)
    own = iter(clean_events(scenario, hour, slug, len(kinds), file_format.spelling, stream="defects"))
    before = iter(clean_events(scenario, hour - HOUR, slug, kinds.count("redelivered"), file_format.spelling))
    made: list[tuple[float, defects.Made]] = []
    for kind in kinds:
        earliest, end = -1.0, len(clean) - 0.5
        if kind in _OF_AN_ORIGINAL:
            index = random.randrange(len(clean))
            event, earliest = clean[index], float(index)
            end = first - 0.5 if index < first else end
        elif kind == "redelivered":
            event = next(before)
            event = event._replace(at=event.at - HOUR_MS)
        else:
            event = next(own)
        made.append((random.uniform(earliest, end), defects.make(kind, event, place)))
    return made
