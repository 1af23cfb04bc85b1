"""Other spellings of the same event, which the warehouse must treat as the same."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from random import Random

from activity_audit.base import catalogue
from activity_audit.simulator import profiles
from activity_audit.simulator.events import Event


@dataclass(frozen=True)
class Place:
    """The feed hour in which defects are made, and the generator that they draw from."""

    hour: datetime
    slug: str
    file_format: profiles.FileFormat
    random: Random


def with_offset(event: Event, place: Place, minutes: int) -> Event:
    """The same instant as ISO 8601 with this offset from UTC."""
    moment = (place.hour + timedelta(milliseconds=event.at)).astimezone(timezone(timedelta(minutes=minutes)))
    return event._replace(event_time=moment.isoformat(timespec="milliseconds" if event.at % 1000 else "seconds"))


def respelled(event: Event, place: Place) -> Event:
    """The same content, written in other ways."""
    random = place.random
    own = profiles.application(place.slug)
    if place.file_format.spelling != "report":
        event = with_offset(event, place, 0)
    return event._replace(
        application=random.choice((own.name, None, f" {own.name} ", *own.aliases)),
        outcome=random.choice((event.outcome, f" {event.outcome} ", (event.outcome or "").lower())),
        instance=f"{event.instance} " if event.instance else None,
        comments=unicodedata.normalize("NFD", event.comments or "") or None,
    )


@cache
def variants(name: str) -> tuple[str, ...]:
    """Other spellings of a name that the catalogue must take for the same."""
    spaced = (name.replace(" ", mark) for mark in ("_", "-", ""))
    candidates = (
        name.upper(),
        name.lower(),
        *spaced,
        name.replace("&", "and"),
        re.sub(r"\band\b", "&", name, flags=re.IGNORECASE),
    )
    key = catalogue.normalised_name(name)
    return tuple(dict.fromkeys(text for text in candidates if text != name and catalogue.normalised_name(text) == key))
