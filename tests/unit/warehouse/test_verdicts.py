"""The rules by which the warehouse is in order, whoever asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from activity_audit.base.hours import HOUR, naive
from activity_audit.warehouse.coverage import Coverage, due, scope
from activity_audit.warehouse.verdicts import Level, State, checks_level, fresh, judged, worst

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
FIGURES = State(naive(NOON), naive(NOON - HOUR), naive(NOON - HOUR), None, None, "r", None, 5, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("freshness", [timedelta(0), timedelta(minutes=90), 2 * HOUR, timedelta(days=36_500)])
@pytest.mark.parametrize("minutes", range(0, 300, 15))
def test_data_are_stale_exactly_when_an_hour_after_them_is_due(freshness: timedelta, minutes: int) -> None:
    now = NOON + timedelta(minutes=minutes)
    is_next_due = scope(["search"], (), now, freshness).until > NOON
    assert (fresh(naive(NOON), now, freshness).level == "bad") is is_next_due
    assert is_next_due is (now >= NOON + HOUR + freshness)


def test_what_was_never_published_is_not_fresh() -> None:
    verdict = fresh(None, NOON, HOUR)
    assert (verdict.level, verdict.breaks_promise, verdict.answer) == ("bad", True, "no feed hour is published yet")
    assert due(NOON, timedelta(minutes=1)) == NOON - HOUR


@pytest.mark.parametrize(
    ("figures", "covered", "levels", "broken"),
    [
        ({}, Coverage(1, recorded=1), ["good"] * 5, 0),
        ({}, Coverage(1, recorded=1, missing=1), ["good", "bad", "good", "good", "good"], 1),
        ({}, Coverage(2, unknown=1, recorded=1), ["good", "unknown", "good", "good", "good"], 0),
        ({}, None, ["good", "unknown", "good", "good", "good"], 0),
        ({"data_through": None}, Coverage(1, recorded=1), ["bad", "good", "good", "good", "good"], 1),
        ({"checks_failed": 1}, Coverage(1, recorded=1), ["good", "good", "bad", "good", "good"], 1),
        # An error of what the sources sent stops nothing and breaks no promise.
        ({"errors": 1}, Coverage(1, recorded=1), ["good", "good", "bad", "good", "good"], 0),
        ({"warnings": 1}, Coverage(1, recorded=1), ["good", "good", "look", "good", "good"], 0),
        ({"checks_passed": 0}, Coverage(1, recorded=1), ["good", "good", "unknown", "good", "good"], 0),
        ({"quarantined": 1, "drift": 1}, Coverage(1, recorded=1), ["good", "good", "good", "look", "look"], 0),
        ({"acknowledged": 1}, Coverage(1, recorded=1), ["good"] * 5, 0),
    ],
)  # fmt: skip
def test_what_the_figures_come_to(figures: dict, covered: Coverage | None, levels: list[Level], broken: int) -> None:  # type: ignore[type-arg]
    found = judged(State(**(vars(FIGURES) | figures)), covered, NOON, HOUR)
    assert [verdict.level for verdict in found.verdicts] == levels
    assert sum(verdict.breaks_promise for verdict in found.verdicts) == broken
    assert found.level == worst(levels)
    assert found.stale is (levels[0] == "bad")


def test_the_worst_is_what_is_known_to_be_wrong() -> None:
    assert worst([]) == "good"
    assert worst(["look", "unknown", "good"]) == "unknown"
    assert worst(["unknown", "bad", "look"]) == "bad"
    assert checks_level(0, 0, 0, 0) == "unknown"
