"""The periods of the report's prompt: whole UTC days, both ends included."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from activity_audit.report import periods

# Already the 1st of March in UTC, still the 29th of February where the clock is.
NOW = datetime(2028, 2, 29, 22, 30, tzinfo=timezone(timedelta(hours=-5)))


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("last-hour", "2028-03-01T02:00", "2028-03-01T03:00"),
        ("last-24-hours", "2028-02-29T03:00", "2028-03-01T03:00"),
        ("today", "2028-03-01", "2028-03-02"),
        ("yesterday", "2028-02-29", "2028-03-01"),
        ("last-7-days", "2028-02-24", "2028-03-02"),
        ("last-30-days", "2028-02-01", "2028-03-02"),
        ("this-month", "2028-03-01", "2028-03-02"),
        ("last-month", "2028-02-01", "2028-03-01"),
        ("from-to", "2026-05-01", "2026-06-01"),
    ],
)
def test_a_period_begins_and_ends_where_its_name_says(name: str, start: str, end: str) -> None:
    found = periods.period(name, NOW, date(2026, 5, 1), date(2026, 5, 31))
    assert found == tuple(datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))
    assert name in periods.NAMES


def test_a_period_that_is_none_is_refused() -> None:
    for arguments, message in (
        (("next-week", NOW), "there is no period 'next-week'"),
        (("from-to", NOW, date(2026, 5, 1)), "the first and the last day"),
        (("from-to", NOW, date(2026, 5, 2), date(2026, 5, 1)), "before it begins"),
        (("from-to", NOW, date(2026, 5, 2), date.max), "outside the calendar"),
    ):
        with pytest.raises(ValueError, match=message):
            periods.period(*arguments)
    assert periods.period("from-to", NOW, date(2026, 5, 1), date(2026, 5, 1))[1] == datetime(2026, 5, 2, tzinfo=UTC)
