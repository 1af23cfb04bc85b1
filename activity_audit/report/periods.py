"""The time periods of the report's prompt. Days are whole UTC days, and both ends are included.

The last hour and the last 24 hours are whole hours, which end where the data end.
"""

from __future__ import annotations

from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta

from activity_audit.base.hours import HOUR, floor_hour

# For programs (and links) and for people, in the prompt's order.
TITLES = {
    "last-hour": "Last hour",
    "last-24-hours": "Last 24 hours",
    "today": "Today",
    "yesterday": "Yesterday",
    "last-7-days": "Last 7 Days",
    "last-30-days": "Last 30 Days",
    "this-month": "This month",
    "last-month": "Last month",
    "from-to": "From \u2013 to",
}
NAMES = tuple(TITLES)
DEFAULT = "last-30-days"
# They end with the newest whole hour that has been published; that of the clock is not over.
OF_HOURS = ("last-hour", "last-24-hours")
_DAY = timedelta(days=1)


def period(
    name: str, now: datetime, first_day: date | None = None, last_day: date | None = None
) -> tuple[datetime, datetime]:
    """The half-open period [start, end) of this name, aware, UTC; `now` is aware.

    The last hour and the last 24 hours end with the last whole hour before `now`, for which they are given the end of
    the data. The last 7 and 30 days end with today, and today counts; this
    month ends with today. `from-to` is from the first moment of `first_day` to the last one of `last_day`; either may
    be a moment of a day, plain UTC, and then that is where it begins, or ends.

    Raises:
        ValueError: if there is no period of this name, or `from-to` has not two days in their order.
    """
    now = now.astimezone(UTC)
    if now.year in (MINYEAR, MAXYEAR):
        raise ValueError(f"{now:%Y-%m-%d} is outside the calendar")
    today = now.date()
    match name:
        case "last-hour":
            return floor_hour(now) - HOUR, floor_hour(now)
        case "last-24-hours":
            return floor_hour(now) - _DAY, floor_hour(now)
        case "today":
            return _days(today, today)
        case "yesterday":
            return _days(today - _DAY, today - _DAY)
        case "last-7-days":
            return _days(today - 6 * _DAY, today)
        case "last-30-days":
            return _days(today - 29 * _DAY, today)
        case "this-month":
            return _days(today.replace(day=1), today)
        case "last-month":
            last = today.replace(day=1) - _DAY
            return _days(last.replace(day=1), last)
        case "from-to":
            if first_day is None or last_day is None:
                raise ValueError("choose the first and the last day of the period")
            start, end = _moments(first_day, last_day)
            if end <= start:
                raise ValueError(f"the period ends on {last_day}, before it begins on {first_day}")
            return start, end
    raise ValueError(f"there is no period {name!r}; the periods are {', '.join(NAMES)}")


def _days(first: date, last: date) -> tuple[datetime, datetime]:
    # Who counts on in weeks and months from there must not come to the end of the calendar.
    if last.year == MAXYEAR:
        raise ValueError(f"{last} is outside the calendar")
    return datetime.combine(first, time(), UTC), datetime.combine(last + _DAY, time(), UTC)


def _moments(first: date, last: date) -> tuple[datetime, datetime]:
    start, end = _days(first, last)
    if isinstance(first, datetime):
        start = first.replace(tzinfo=UTC)
    return start, last.replace(tzinfo=UTC) if isinstance(last, datetime) else end
