"""Every duration at its bound: no arithmetic of times leads out of the calendar."""

from __future__ import annotations

from datetime import timedelta

import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import now_utc
from activity_audit.evidence.verify.verify import verify
from activity_audit.ingest.beginning import beginning
from activity_audit.ingest.planning import plan
from activity_audit.pipeline.status import status
from activity_audit.settings.core import Settings, load_settings
from activity_audit.upkeep.maintenance import maintain
from activity_audit.warehouse.coverage import due
from orchestration.automation import build_schedule
from orchestration.checks import build_freshness
from tests.integration.support import deliver, event, lines, one, run


@pytest.mark.slow
def test_a_home_with_the_longest_durations_works(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [name for name, field in Settings.model_fields.items() if field.annotation is timedelta]
    assert len(names) == 10
    for name in (*names, "retention"):
        monkeypatch.setenv(f"AUDIT_{name.upper()}", "36500d")
    longest = load_settings()
    deliver(longest, lines([event("a"), event("b", eventTime="2120-01-01T00:00:00Z")]))
    run(longest)
    # What claims to have happened in a hundred years is tolerated, because the setting says so.
    assert one(longest, "select count(*) from fact_activity_event") == 2
    assert plan(longest, catalogue.slugs()).ranges == []
    assert status(longest)["coverage"]
    assert verify(longest).intact
    assert maintain(longest).counts["snapshots after"]
    begin = beginning(longest)
    build_schedule(longest, begin)
    build_freshness(longest)
    assert due(now_utc(), longest.freshness) - timedelta(hours=1) <= begin
