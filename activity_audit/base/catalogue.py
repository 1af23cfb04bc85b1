"""The documented applications, entities and activities, read from the dbt seeds (their only home).

Names are matched by a normalised key; the same rule stands in SQL as the macro `normalised_name`, and a
test holds the two together.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from activity_audit.base import seeds

DBT_PROJECT_DIR = Path(__file__).resolve().parents[2] / "dbt_project"
SEEDS_DIR = DBT_PROJECT_DIR / "seeds"
# The feed that the report itself makes: who read and exported what.
OWN_FEED = "activity_audit"
_SLUG = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


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
    """Every application of the catalogue, in the catalogue's order.

    Raises:
        SeedError: naming every row of the seed that is wrong.
    """
    columns = ("application", "display_name", "slug", "in_report_prompt", "aliases", "entity_table_basis")
    return tuple(
        Application(
            name=row["application"],
            display_name=row["display_name"],
            slug=row["slug"],
            in_report_prompt=row["in_report_prompt"].lower() == "true",
            aliases=tuple(part.strip() for part in row["aliases"].split(";") if part.strip()),
        )
        for row in seeds.read(SEEDS_DIR / "application.csv", columns, _application_problem, lambda row: row["slug"])
    )


def display_name(slug: str) -> str:
    """The name by which people know the application of a feed; the slug if the catalogue does not have it."""
    return next((one.display_name for one in applications() if one.slug == slug), slug)


def feed_title(slug: str) -> str:
    """A feed for people: the name of its application, and its slug where the name does not give it away."""
    name = display_name(slug)
    return name if name.lower().replace(" ", "_") == slug else f"{name} ({slug})"


def _application_problem(row: seeds.Row) -> str | None:
    if missing := seeds.blank(row, ("application", "display_name", "slug")):
        return missing
    if not _SLUG.fullmatch(row["slug"]):
        return f"slug is {row['slug']!r}; it must have lower-case letters, digits and _ only, and begin with a letter"
    if row["in_report_prompt"].lower() not in ("true", "false"):
        return f"in_report_prompt is {row['in_report_prompt']!r}; it must be true or false"
    return None


@cache
def entity_activities() -> tuple[EntityActivity, ...]:
    """Every documented (application, entity, activity) of the vendor's, in the catalogue's order.

    Raises:
        SeedError: naming every row of the seed that is wrong.
    """
    return tuple(
        EntityActivity(row["application"], row["entity"], row["activity"] or None, row["provenance"])
        for row in _entity_activity_rows("entity_activity.csv")
    )


def _entity_activity_rows(file_name: str) -> list[seeds.Row]:
    columns = ("application", "entity", "activity", "provenance")

    def identity(row: seeds.Row) -> tuple[str, ...]:
        return tuple(normalised_name(row[name]) for name in columns[:3])

    def problem(row: seeds.Row) -> str | None:
        return seeds.blank(row, ("application", "entity", "provenance"))

    return seeds.read(SEEDS_DIR / file_name, columns, problem, identity)


def check() -> None:
    """Read all of the catalogue.

    Raises:
        SeedError: naming every row of the first seed that is wrong.
    """
    applications()
    entity_activities()
    _entity_activity_rows("own_activity.csv")


def slugs() -> list[str]:
    """The slugs of all known feeds."""
    return [application.slug for application in applications()]


def report_prompt_slugs() -> list[str]:
    """The slugs of the feeds that the report's prompt offers: the 16 that every tenant may have."""
    return [application.slug for application in applications() if application.in_report_prompt]


def slug_of(name: str) -> str | None:
    """The feed of the application that is known by this name, or None where the catalogue knows none."""
    return _slugs_by_name().get(normalised_name(name))


def application_of(name: str) -> str | None:
    """The application that is known by this name, as events have it, or None where the catalogue knows none."""
    slug = slug_of(name)
    return next((one.name for one in applications() if one.slug == slug), None)


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
