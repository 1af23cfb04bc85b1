"""Which days are loaded: of each day of a month, how much of its feed hours runs have looked at."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from activity_audit.report.queries.coverage import coverage_of_days
from activity_audit.report.queries.query import Query
from activity_audit.warehouse.coverage import Coverage, total

Loaded = Literal["loaded", "partly", "not"]


def loaded_days(query: Query, year: int, month: int, now: datetime) -> dict[date, Loaded]:
    """Every day of the month. A day is loaded if each feed hour that is due `now` (aware) was found complete."""
    first = datetime(year, month, 1, tzinfo=UTC)
    number = calendar.monthrange(year, month)[1]
    found: dict[date, list[Coverage]] = {}
    for (_, at), one in coverage_of_days(query, first, first + timedelta(days=number), "day", now).items():
        found.setdefault(at.date(), []).append(one)
    days = [first.date() + timedelta(days=place) for place in range(number)]
    return {day: _loaded(total(found.get(day, []))) for day in days}


def _loaded(covered: Coverage) -> Loaded:
    if covered.looked == "not":
        return "not"
    return "loaded" if covered.looked == "wholly" and covered.level != "bad" else "partly"
