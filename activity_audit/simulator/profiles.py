"""What simulated feeds look like: who is busy when, who does what to which things, and in which file format.

Tables and the small pure functions that read them. Nothing here draws events or writes files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import accumulate
from typing import Literal

from activity_audit.base import catalogue

Layout = Literal["lines", "array", "page", "csv", "parquet"]
Spelling = Literal["camel", "snake", "report"]
InstanceStyle = Literal["uuid", "number", "code"]

# Stand in where the document has none of a feed's activities; nobody can take them for documented ones.
SYNTHETIC_ACTIVITIES = ("Synthetic View", "Synthetic Update", "Synthetic Create", "Synthetic Delete")

IMPERSONATED = "Impersonated admin"
AUTOMATION = "Not applicable"
DOMAIN = "classics.example"
_FIRST_NAMES = (
    "clarissa elizabeth emma jane anna dorothea jürgen catherine zoë philip "
    "heathcliff leopold molly stephen edmond josé ishmael tess gabriel bathsheba"
)
_LAST_NAMES = (
    "dalloway bennet woodhouse eyre karenina brooke müller earnshaw castañeda pirrip "
    "linton bloom ramsay dedalus dantès arcadio coffin durbeyfield oak everdene"
)

COMMENTS = (
    "Reviewed for coaching",
    "Requested by compliance, ticket 4711",
    'Reason given: "customer request"',
    "Bulk operation",
    "Retention period: 7 years; set by policy",
    "Shared with legal@classics.example",
    "Überprüfung abgeschlossen ✓",
    "Révision trimestrielle",
    "録音を確認しました",
    "Follow-up 🎧 tomorrow",
    "Cafe\u0301 branch",  # a combining accent: the same text as with the composed letter
    "First line\nSecond line",
    "=SUM(A1:A3)",
    "+44 20 7946 0000 called back",
    "C:\\export\\2026",
)
FAILURE_NOTES = ("Access denied", "Timed out after 30 s", "Object not found", "", "Quota exceeded")


@dataclass(frozen=True)
class FileFormat:
    """One way to deliver a feed hour: `extension` says the compression, `spelling` how fields are named."""

    extension: str
    layout: Layout
    spelling: Spelling = "camel"


NDJSON = FileFormat("ndjson", "lines")
NDJSON_GZ = FileFormat("ndjson.gz", "lines")
JSONL_ZST = FileFormat("jsonl.zst", "lines")
SNAKE_LINES = FileFormat("ndjson", "lines", "snake")
ARRAY = FileFormat("json", "array")
PAGE = FileFormat("json", "page")
CSV = FileFormat("csv", "csv")
SNAKE_CSV_GZ = FileFormat("csv.gz", "csv", "snake")
REPORT_CSV = FileFormat("csv", "csv", "report")
PARQUET = FileFormat("parquet", "parquet")


@dataclass(frozen=True)
class Profile:
    """How one feed behaves.

    `weight` is its relative size in its normal hours. `formats` are taken in turns, hour by hour; every
    `split_every` hours it delivers two files. With `extra_field` some records carry a field that the contract
    does not name.
    """

    weight: float = 0.3
    automated: bool = False
    instances: InstanceStyle = "code"
    formats: tuple[FileFormat, ...] = (NDJSON,)
    split_every: int = 0
    milliseconds: bool = True
    extra_field: bool = False


# The document has lost all activities of the feeds with a weight below 0.1: together they have less than one event
# of a hundred, so that what is not in the catalogue stays as rare as it is in a real warehouse.
_PROFILES = {
    "analytics": Profile(18, instances="uuid", formats=(NDJSON, SNAKE_LINES), extra_field=True),
    "screen_agent": Profile(1.5, instances="uuid", formats=(PAGE,)),
    "data_policies": Profile(0.04, formats=(REPORT_CSV,), milliseconds=False, extra_field=True),
    "data_request_registry": Profile(0.06, automated=True, formats=(JSONL_ZST,)),
    "extract_data_apis": Profile(0.06, automated=True, formats=(NDJSON_GZ,), extra_field=True),
    "recording": Profile(0.08, instances="uuid", formats=(PARQUET, PARQUET, NDJSON)),
    "recording_policies": Profile(0.04, formats=(CSV,)),
    "qm": Profile(0.08, formats=(SNAKE_LINES,), extra_field=True),
    "search": Profile(22, instances="uuid", formats=(NDJSON_GZ, NDJSON), split_every=6),
    "storage": Profile(7, automated=True, instances="uuid", formats=(SNAKE_CSV_GZ,)),
    "supervisor": Profile(0.06, instances="number", formats=(ARRAY,)),
    "tenant_management": Profile(0.04, instances="number", formats=(CSV,), extra_field=True),
    "tenant_meta_data_manager": Profile(0.2, instances="number", formats=(PAGE,)),
    "userhub": Profile(12, instances="number", formats=(NDJSON, ARRAY, CSV), split_every=4),
    "webapp_player": Profile(
        30, instances="uuid", formats=(NDJSON, NDJSON, PARQUET, PARQUET, JSONL_ZST), split_every=7
    ),
    "wfm": Profile(2, instances="number", formats=(REPORT_CSV,), milliseconds=False),
}


def profile(slug: str) -> Profile:
    """The feed's profile; an application that was added to the catalogue has a modest one of its own."""
    return _PROFILES.get(slug, Profile())


def hour_index(hour: datetime) -> int:
    """The feed hour as a running number, for whatever takes turns by the hour."""
    return int(hour.timestamp()) // 3600


def file_format(slug: str, hour: datetime) -> FileFormat:
    """The format in which the feed delivers in this hour; no seed changes it, so that names stay."""
    formats = profile(slug).formats
    return formats[hour_index(hour) % len(formats)]


def file_names(slug: str, hour: datetime) -> list[str]:
    """The names of the feed hour's one or two files."""
    extension = file_format(slug, hour).extension
    every = profile(slug).split_every
    if every and hour_index(hour) % every == 0:
        return [f"events-1.{extension}", f"events-2.{extension}"]
    return [f"events.{extension}"]


def activity_weight(slug: str, hour: datetime) -> float:
    """The relative size of the feed in this hour: people work in office hours (UTC), machines at night."""
    feed = profile(slug)
    if feed.automated:
        return feed.weight * (1.6 if 1 <= hour.hour < 5 else 1.0)
    if 8 <= hour.hour < 18:
        busy = 1.0
    elif 6 <= hour.hour < 21:
        busy = 0.35
    else:
        busy = 0.15
    return feed.weight * busy * (0.3 if hour.weekday() >= 5 else 1.0)


@cache
def application(slug: str) -> catalogue.Application:
    """The catalogue's application of this slug."""
    return next(item for item in catalogue.applications() if item.slug == slug)


@cache
def pairs(slug: str) -> tuple[tuple[tuple[str, str], ...], tuple[float, ...]]:
    """The feed's (entity, activity) pairs, most frequent first, and their cumulative weights up to 1.

    These are the documented ones. Only a feed without any has synthetic activities on its documented entities.
    """
    rows = [row for row in catalogue.entity_activities() if row.application == application(slug).name]
    kinds = [(row.entity, row.activity) for row in rows if row.activity is not None]
    if not kinds:
        entities = list(dict.fromkeys(row.entity for row in rows)) or ["Synthetic Entity"]
        kinds = [(entity, activity) for activity in SYNTHETIC_ACTIVITIES for entity in entities]
    return tuple(kinds), falling_weights(len(kinds))


@cache
def users(slug: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Who triggers the feed's events, and the cumulative weights: a few do most of it."""
    firsts, lasts = _FIRST_NAMES.split(), _LAST_NAMES.split()
    people = [
        f"{first}.{lasts[(index + turn) % len(lasts)]}@{DOMAIN}"
        for turn in range(len(lasts))
        for index, first in enumerate(firsts)
    ]
    # Each feed has its own heavy users; the document's analyst is the first one of Analytics.
    shift = 7 * catalogue.slugs().index(slug)
    people = people[shift:] + people[:shift]
    impersonated, automation = (0.01, 0.87) if profile(slug).automated else (0.02, 0.03)
    weights = [impersonated, automation, *_falling(len(people), 1 - impersonated - automation)]
    return (IMPERSONATED, AUTOMATION, *people), tuple(accumulate(weights))


def falling_weights(count: int) -> tuple[float, ...]:
    """Cumulative weights of `count` things of which each is less popular than the one before (Zipf-like)."""
    return tuple(accumulate(_falling(count, 1.0)))


def _falling(count: int, total: float) -> list[float]:
    ranks = [1 / (rank + 1.5) for rank in range(count)]
    scale = total / sum(ranks) if ranks else 0.0
    return [rank * scale for rank in ranks]


@cache
def is_documented(application_name: str, entity: str, activity: str) -> bool:
    """Whether the catalogue has this triple, by its normalised key."""
    return tuple(map(catalogue.normalised_name, (application_name, entity, activity))) in _documented_keys()


@cache
def _documented_keys() -> frozenset[tuple[str, ...]]:
    return frozenset(
        tuple(map(catalogue.normalised_name, (row.application, row.entity, row.activity)))
        for row in catalogue.entity_activities()
        if row.activity is not None
    )
