"""Which periods of a subscription are over, and what they are called. They are of UTC, half-open, and never overlap."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta

from activity_audit.base.hours import unit_begin, unit_end
from activity_audit.report.delivery.book import Unit

# By the period that is delivered, in the form's order: when that is.
EVERY: dict[Unit, str] = {
    "hour": "every hour", "day": "every day", "week": "every Monday", "month": "on the first day of every month"
}  # fmt: skip
# What a person calls the period.
OF: dict[Unit, str] = {"hour": "the hour", "day": "the day", "week": "the week", "month": "the month"}
_LONGEST_NAME = 60


def current(every: Unit, now: datetime) -> datetime:
    """The beginning of the period that `now` lies in, with which a new subscription begins."""
    return unit_begin(now, every)


def over(every: Unit, start: datetime, through: datetime) -> list[tuple[datetime, datetime]]:
    """The periods from `start` on whose end the data have reached, the oldest first."""
    found = []
    while (end := unit_end(start, every)) <= through:
        found.append((start, end))
        start = end
    return found


def period_name(every: Unit, start: datetime) -> str:
    """The period, as in the name of a file: `2026-05-01T10Z`, `2026-05-01`, `2026-05-04_2026-05-10`, `2026-05`."""
    match every:
        case "hour":
            return f"{start:%Y-%m-%dT%HZ}"
        case "day":
            return f"{start:%Y-%m-%d}"
        case "week":
            return f"{start:%Y-%m-%d}_{start + timedelta(days=6):%Y-%m-%d}"
        case _:
            return f"{start:%Y-%m}"


def file_name(report: str, every: Unit, start: datetime, standing_id: str, format: str) -> str:
    """The name of the file of a period; no two subscriptions have the same."""
    plain = unicodedata.normalize("NFKD", report).encode("ascii", "ignore").decode().lower()
    slug = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:_LONGEST_NAME].strip("-") or "report"
    return f"{slug}_{period_name(every, start)}_{standing_id[:8]}.{format}"
