"""Which records an hour has, before any of them is drawn; and the spellings that must match the catalogue."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from activity_audit.base import catalogue
from activity_audit.simulator import plan as plan_module
from activity_audit.simulator.events import Scenario
from activity_audit.simulator.plan import SHARES, plan_hour
from activity_audit.simulator.spellings import variants

HOUR = timedelta(hours=1)
START = datetime(2026, 5, 6, 13, tzinfo=UTC)


@pytest.mark.parametrize("events_per_hour", [1, 5, 30, 200])
def test_half_of_every_feed_stays_clean_and_covers_what_the_next_hour_delivers_again(events_per_hour: int) -> None:
    scenario = Scenario(3, events_per_hour, defects=True)
    before = plan_hour(scenario, START - HOUR)
    for offset in range(168):
        plan = plan_hour(scenario, START + offset * HOUR)
        assert sum(plan.counts.values()) == events_per_hour
        for slug, kinds in plan.defects.items():
            assert len(kinds) <= plan.counts[slug] / 2
            assert kinds.count("redelivered") <= before.counts[slug] - len(before.defects[slug])
        before = plan


def test_nothing_is_delivered_again_where_the_hour_before_had_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def counts(scenario: Scenario, hour: datetime) -> dict[str, int]:
        return {slug: 100 if hour == START or slug == "qm" else 0 for slug in catalogue.report_prompt_slugs()}

    monkeypatch.setattr(plan_module, "_counts", counts)
    defects = plan_hour(Scenario(3, 1600, defects=True), START).defects
    assert {slug for slug, kinds in defects.items() if "redelivered" in kinds} == {"qm"}


def test_from_200_an_hour_on_every_kind_finds_a_place_in_every_hour_of_a_week() -> None:
    scenario = Scenario(3, 200, defects=True)
    for offset in range(168):
        hour = START + offset * HOUR
        plan = plan_hour(scenario, hour)
        kinds = {kind for kinds in plan.defects.values() for kind in kinds}
        missing = set(SHARES) - kinds
        assert missing == (set() if hour.hour % 6 == 0 else {"too_large"})


def test_below_200_an_hour_the_kinds_take_turns() -> None:
    scenario = Scenario(3, 20, defects=True)
    plans = [plan_hour(scenario, START + offset * HOUR) for offset in range(96)]
    seen = Counter(kind for plan in plans for kinds in plan.defects.values() for kind in kinds)
    assert set(SHARES) - {"too_large"} <= set(seen)
    assert all(sum(map(len, plan.defects.values())) <= 3 for plan in plans)


def test_name_variants_match_the_catalogue_and_differ_from_it() -> None:
    spellings = variants("Interaction Data (VOICE AND SCREEN)")
    assert "Interaction_Data_(VOICE_AND_SCREEN)" in spellings
    assert "Interaction Data (VOICE & SCREEN)" in spellings
    assert "STRASSE" not in variants("Straße")
    for row in catalogue.entity_activities():
        for variant in variants(row.entity):
            assert variant != row.entity
            assert catalogue.normalised_name(variant) == catalogue.normalised_name(row.entity)
