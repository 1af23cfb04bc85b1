"""The rules for the rows of `dbt_project/seeds/drift_acknowledgement.csv`, which people write by hand.

What an acknowledgement does is SQL (`stg_drift_acknowledgement` and the models behind it); here a row that says too
little, or the same as another one, is refused before anything is run with it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from activity_audit.base import catalogue, seeds

FILE_NAME = "drift_acknowledgement.csv"
COLUMNS = ("application", "entity", "activity", "acknowledged_by", "acknowledged_on", "why")
_REQUIRED = ("application", "acknowledged_by", "acknowledged_on", "why")


def check(path: Path | None = None) -> int:
    """Read the seed, or another file like it; how many acknowledgements it has.

    Raises:
        SeedError: naming every row that is wrong.
    """
    return len(seeds.read(path or catalogue.SEEDS_DIR / FILE_NAME, COLUMNS, _problem, _names))


def _problem(row: seeds.Row) -> str | None:
    """What is wrong with a row; None where nothing is."""
    if missing := seeds.blank(row, _REQUIRED):
        return missing
    if row["activity"] and not row["entity"]:
        return "an activity needs its entity; leave both blank for the whole application"
    day = row["acknowledged_on"]
    try:
        usual = date.fromisoformat(day).isoformat() == day
    except ValueError:
        usual = False
    return None if usual else f"acknowledged_on is {day!r}; it must be a date such as 2026-05-01"


def _names(row: seeds.Row) -> tuple[str, ...]:
    application = catalogue.slug_of(row["application"])
    names = [catalogue.normalised_name(row[name]) for name in ("application", "entity", "activity")]
    return (application or names[0], *names[1:])
