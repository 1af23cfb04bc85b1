"""The rules for the rows of `dbt_project/seeds/drift_acknowledgement.csv`, which people write by hand.

What an acknowledgement does is SQL (`stg_drift_acknowledgement` and the models behind it); here a row that says too
little, or the same as another one, is refused before anything is run with it.
"""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

from orchestration import catalogue

FILE_NAME = "drift_acknowledgement.csv"
COLUMNS = ("application", "entity", "activity", "acknowledged_by", "acknowledged_on", "why")
_REQUIRED = ("application", "acknowledged_by", "acknowledged_on", "why")


class AcknowledgementError(ValueError):
    """A row of the seed is wrong; the message names it and says what it must be."""


def check(path: Path | None = None) -> int:
    """Read the seed, or another file like it; how many acknowledgements it has.

    Raises:
        AcknowledgementError: naming every row that is wrong.
    """
    path = path or catalogue.SEEDS_DIR / FILE_NAME
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise AcknowledgementError(f"{path}: its first line must be {','.join(COLUMNS)}")
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AcknowledgementError(f"{path} cannot be read: {error}") from None
    wrong = []
    lines: dict[tuple[str, ...], int] = {}
    for line, row in rows:
        problem = _problem(row)
        if problem is None:
            first = lines.setdefault(_names(row), line)
            problem = f"it is about the same names as line {first}" if first != line else None
        if problem:
            wrong.append(f"{path} line {line}: {problem}")
    if wrong:
        raise AcknowledgementError("\n".join(wrong))
    return len(rows)


def _problem(row: dict[str, str | None]) -> str | None:
    """What is wrong with a row; None where nothing is."""
    if None in row or None in row.values():
        return f"it must have {len(COLUMNS)} fields ({', '.join(COLUMNS)}); quote a text that has a comma"
    missing = [name for name in _REQUIRED if not _text(row, name)]
    if missing:
        return f"{' and '.join(missing)} must not be blank"
    if _text(row, "activity") and not _text(row, "entity"):
        return "an activity needs its entity; leave both blank for all of the application"
    day = _text(row, "acknowledged_on")
    try:
        usual = date.fromisoformat(day).isoformat() == day
    except ValueError:
        usual = False
    return None if usual else f"acknowledged_on is {day!r}; it must be a date such as 2026-05-01"


def _names(row: dict[str, str | None]) -> tuple[str, ...]:
    application = catalogue.slug_of(_text(row, "application"))
    names = [catalogue.normalised_name(_text(row, name)) for name in ("application", "entity", "activity")]
    return (application or names[0], *names[1:])


def _text(row: dict[str, str | None], name: str) -> str:
    return (row[name] or "").strip()
