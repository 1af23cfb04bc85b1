"""AUDIT_RETENTION as rules: how long the feed hours of each feed are kept. Pure, free of settings and warehouse."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from activity_audit.base.hours import HOUR
from activity_audit.settings.value_types import parse_duration

FOREVER = "forever"
# So that a forgotten unit, which makes seconds of days, deletes nothing.
_SHORTEST = timedelta(days=1)


@dataclass(frozen=True)
class Rule:
    """How long a feed hour is kept after its end, None for ever, and the text of the setting that says so."""

    keep: timedelta | None
    text: str


@dataclass(frozen=True)
class RetentionRules:
    """The rule of every feed: one for all, and those of feeds that have their own (by slug)."""

    default: Rule = Rule(None, FOREVER)
    own: Mapping[str, Rule] = field(default_factory=dict)

    def of(self, feed: str) -> Rule:
        """The rule that a feed is kept by."""
        return self.own.get(feed, self.default)

    def is_past(self, feed: str, feed_hour: datetime, now: datetime) -> bool:
        """Whether a feed hour is no longer to be kept: its end and the retention are over. Both times are UTC."""
        keep = self.of(feed).keep
        return keep is not None and feed_hour + HOUR + keep < now

    @property
    def deletes(self) -> bool:
        """Whether anything is ever deleted."""
        return any(rule.keep is not None for rule in (self.default, *self.own.values()))


def parse_retention(text: str, slugs: Collection[str]) -> RetentionRules:
    """The rules that a value of AUDIT_RETENTION stands for, such as `400d,search=30d,qm=forever`.

    Raises:
        ValueError: saying what it must be.
    """
    default: Rule | None = None
    own: dict[str, Rule] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        slug, is_own, value = (piece.strip() for piece in part.rpartition("="))
        if not is_own:
            if default:
                raise ValueError(f"must have one duration for all feeds, and has {default.text} and {part}")
            default = Rule(_keep(value), part)
        elif slug not in slugs:
            raise ValueError(f"must name feeds by slugs of the catalogue ({', '.join(slugs)}); unknown: {slug}")
        elif slug in own:
            raise ValueError(f"must have one duration for the feed {slug}, and has {own[slug].text} and {part}")
        else:
            own[slug] = Rule(_keep(value), part)
    return RetentionRules(default or Rule(None, FOREVER), own)


def _keep(value: str) -> timedelta | None:
    if value.lower() == FOREVER:
        return None
    try:
        keep = parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{error}, or {FOREVER}, for all feeds or as slug=duration, comma-separated") from None
    if keep < _SHORTEST:
        raise ValueError(f"must be at least {_SHORTEST.days}d, and {value!r} is less; write the unit, such as 400d")
    return keep
