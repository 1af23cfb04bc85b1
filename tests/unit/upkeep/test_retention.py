"""The rules of retention and of legal holds, without a warehouse."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activity_audit.base.hours import HOUR
from activity_audit.ledger.holds import ALL, PLACED, RELEASED, HoldRow, digest_of, row_sha256, standing
from activity_audit.settings.core import SettingsError, load_settings
from activity_audit.settings.retention import parse_retention

SLUGS = ["search", "qm"]
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TEN = datetime(2026, 5, 1, 10)  # noqa: DTZ001
HOLD = HoldRow("h", PLACED, "Search", TEN, TEN + HOUR, "matter 7", "Zoë", TEN)


def test_a_feed_has_its_own_rule_or_that_of_all() -> None:
    rules = parse_retention("400d, search = 30d,qm=FOREVER", SLUGS)
    assert (rules.of("other").keep, rules.of("other").text) == (timedelta(days=400), "400d")
    assert (rules.of("search").keep, rules.of("qm").keep) == (timedelta(days=30), None)
    assert rules.of("search").text == "search = 30d"
    assert rules.deletes
    for text in ("", "forever", "search=forever", " , "):
        assert not parse_retention(text, SLUGS).deletes
    assert parse_retention("search=1d", SLUGS).of("qm").keep is None


def test_an_hour_is_past_when_its_end_and_the_retention_are_over() -> None:
    rules = parse_retention("2d,qm=forever", SLUGS)
    end = NOON + HOUR + timedelta(days=2)
    assert not rules.is_past("search", NOON, end)
    assert rules.is_past("search", NOON, end + timedelta(microseconds=1))
    assert not rules.is_past("qm", NOON, NOON + timedelta(days=30_000))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("soon", "must be a duration such as 90s, 30m, 3h or 2d, or forever"),
        ("400", "'400' is less; write the unit"),
        ("23h", "must be at least 1d"),
        ("-3d", "must be a duration"),
        ("30d,40d", "must have one duration for all feeds, and has 30d and 40d"),
        ("qm=30d,qm=2d", "must have one duration for the feed qm, and has qm=30d and qm=2d"),
        ("QM=30d", "must name feeds by slugs of the catalogue .*; unknown: QM"),
        ("=30d", "unknown: $"),
    ],
)
def test_a_wrong_rule_is_refused_at_start(value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=f"^AUDIT_RETENTION='{value}': .*{message}"):
        load_settings(retention=value)


def test_a_hold_covers_the_hours_that_touch_its_period() -> None:
    assert [HOLD.covers("search", TEN + timedelta(hours=hours)) for hours in (-1, 0, 1)] == [False, True, False]
    part = replace(HOLD, from_utc=TEN + timedelta(minutes=59), to_utc=TEN + timedelta(minutes=61))
    assert [part.covers("search", TEN + timedelta(hours=hours)) for hours in (-1, 0, 1, 2)] == [
        False,
        True,
        True,
        False,
    ]
    assert not HOLD.covers("qm", TEN)
    assert replace(HOLD, application=ALL).covers("qm", TEN)
    # What no catalogue knows has no feed of its own.
    assert not replace(HOLD, application="AWS CloudTrail").covers("search", TEN)


def test_a_hold_stands_until_it_is_released() -> None:
    later = replace(HOLD, hold_id="a", recorded_at_utc=TEN + HOUR)
    released = replace(HOLD, action=RELEASED, recorded_at_utc=TEN + 2 * HOUR)
    assert standing([later, HOLD]) == [HOLD, later]
    assert standing([released, later, HOLD]) == [later]


def test_the_hash_of_a_hold_never_changes_and_every_field_counts() -> None:
    text = (
        "1:h,6:placed,6:Search,27:2026-05-01T10:00:00.000000Z,27:2026-05-01T11:00:00.000000Z,8:matter 7,4:Zoë,"
        "27:2026-05-01T10:00:00.000000Z"
    )
    assert row_sha256(HOLD) == hashlib.sha256(text.encode()).hexdigest()
    document = (Path(__file__).parents[3] / "docs/integrity.md").read_text(encoding="utf-8")
    documented = replace(HOLD, hold_id="3f9c21aa", recorded_at_utc=TEN + 2 * HOUR)
    assert f"whose hash is `{row_sha256(documented)}`" in document
    for name, value in vars(HOLD).items():
        other = value + HOUR if isinstance(value, datetime) else f"{value}0"
        assert row_sha256(replace(HOLD, **{name: other})) != row_sha256(HOLD)
    digest = digest_of(HOLD)
    assert (digest.feed, digest.feed_hour_utc, digest.run_id) == ("Search", TEN, "h placed")
    assert digest.deliveries_sha256 == row_sha256(HOLD)
