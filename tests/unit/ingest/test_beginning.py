"""With which feed hour partitions begin, and what becomes of hours before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from activity_audit.base.hours import HOUR, floor_hour, now_utc
from activity_audit.ingest.beginning import NOTE, beginning, runnable
from activity_audit.raw.index import LandedDelivery
from activity_audit.raw.lake import local_lake
from activity_audit.settings.core import Settings, SettingsError, load_settings

MAY = datetime(2026, 5, 1, 10, tzinfo=UTC)


def _land(settings: Settings, *hours: datetime) -> None:
    local_lake(settings.raw_dir).index.set_complete(
        [LandedDelivery(f"{hour}", "search", hour, "a", f"file:///{hour}", "0", 1, 1, MAY) for hour in hours], []
    )


def test_partitions_begin_with_the_first_hour_that_is_known(settings: Settings) -> None:
    due = floor_hour(now_utc() - settings.schedule_lag) - HOUR
    assert due <= beginning(settings) <= due + HOUR
    # Nothing was known, and nothing is noted.
    assert not (settings.dagster_home / NOTE).exists()
    _land(settings, MAY + HOUR, MAY)
    assert beginning(settings) == MAY
    assert beginning(settings, [MAY - 5 * HOUR]) == MAY - 5 * HOUR


def test_the_beginning_never_becomes_a_later_one(settings: Settings) -> None:
    assert beginning(settings, [MAY]) == MAY
    assert beginning(settings, [MAY + HOUR]) == MAY
    (settings.dagster_home / NOTE).write_text("damaged")
    _land(settings, MAY + HOUR)
    assert beginning(settings) == MAY + HOUR


def test_the_setting_moves_it_forward_past_nothing_that_is_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_FIRST_HOUR", "2026-05-01T10:00:00Z")
    assert beginning(load_settings()) == MAY
    _land(settings, MAY - HOUR)
    assert beginning(load_settings()) == MAY - HOUR


@pytest.mark.parametrize("wrong", ["2026-05-01T10:30:00Z", "2014-12-31T23:00:00Z", "yesterday"])
def test_a_wrong_first_hour_is_refused_by_name(settings: Settings, monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("AUDIT_FIRST_HOUR", wrong)
    with pytest.raises(SettingsError, match=f"AUDIT_FIRST_HOUR='{wrong}'"):
        load_settings()


def test_what_is_before_the_beginning_waits_and_is_noted(settings: Settings) -> None:
    day = timedelta(days=1)
    later = [(MAY, MAY + day)]
    assert runnable(settings, MAY, later) == (later, False)
    before = [(MAY - 2 * day, MAY - day), (MAY - HOUR, MAY + HOUR), *later]
    assert runnable(settings, MAY, before) == ([(MAY, MAY + HOUR), *later], True)
    assert beginning(settings) == MAY - 2 * day
