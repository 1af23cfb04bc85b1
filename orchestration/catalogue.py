"""The documented applications, entities and activities, read from the dbt seeds (their only home).

Names are matched by a normalised key; the same rule stands in SQL as the macro `normalised_name`, and a
test holds the two together.
"""

from __future__ import annotations

import csv
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DBT_PROJECT_DIR = Path(__file__).resolve().parent.parent / "dbt_project"
SEEDS_DIR = DBT_PROJECT_DIR / "seeds"
# The feed that the report itself makes: who read and exported what.
OWN_FEED = "activity_audit"


@dataclass(frozen=True)
class Application:
    """One application: `name` as feeds carry it, `slug` as folders, asset keys and settings do."""

    name: str
    display_name: str
    slug: str
    in_report_prompt: bool
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class EntityActivity:
    """One documented pair; `activity` is None where the document's list of activities is lost."""

    application: str
    entity: str
    activity: str | None
    provenance: str


@cache
def applications() -> tuple[Application, ...]:
    """Every application of the catalogue, in the catalogue's order."""
    with (SEEDS_DIR / "application.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            Application(
                name=row["application"],
                display_name=row["display_name"],
                slug=row["slug"],
                in_report_prompt=row["in_report_prompt"].strip().lower() == "true",
                aliases=tuple(part.strip() for part in row["aliases"].split(";") if part.strip()),
            )
            for row in csv.DictReader(file)
        )


@cache
def entity_activities() -> tuple[EntityActivity, ...]:
    """Every documented (application, entity, activity), in the catalogue's order."""
    with (SEEDS_DIR / "entity_activity.csv").open(encoding="utf-8", newline="") as file:
        return tuple(
            EntityActivity(row["application"], row["entity"], row["activity"] or None, row["provenance"])
            for row in csv.DictReader(file)
        )


def slugs() -> list[str]:
    """The slugs of all known feeds."""
    return [application.slug for application in applications()]


def report_prompt_slugs() -> list[str]:
    """The slugs of the feeds that the report's prompt offers: the 16 that every tenant may have."""
    return [application.slug for application in applications() if application.in_report_prompt]


def slug_of(name: str) -> str | None:
    """The feed of the application that is known by this name, or None where the catalogue knows none."""
    return _slugs_by_name().get(normalised_name(name))


@cache
def _slugs_by_name() -> dict[str, str]:
    """Every name of every application by its key: its own name goes before aliases, display name and slug."""
    known = applications()
    named = [
        *((application.name, application.slug) for application in known),
        *((alias, application.slug) for application in known for alias in application.aliases),
        *((application.display_name, application.slug) for application in known),
        *((application.slug, application.slug) for application in known),
    ]
    return {normalised_name(name): slug for name, slug in reversed(named)}


def normalised_name(text: str) -> str:
    """The key by which names match: case, spacing, punctuation and `&` against `and` make no difference.

    A name of punctuation only is its own key, lower-cased, so that it matches nothing but itself.
    """
    lowered = unicodedata.normalize("NFC", text).lower().strip()
    kept = (char for char in lowered.replace("&", "and") if unicodedata.category(char)[0] not in "PZC")
    return "".join(kept) or lowered
