"""Hours and their upkeep, again and again: what is kept for a time only is bounded by that time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from activity_audit.base.hours import now_utc
from activity_audit.settings.core import Settings
from activity_audit.upkeep import compaction, maintenance
from activity_audit.upkeep.maintenance import Allowed, maintain
from orchestration.instance import instance
from orchestration.old_runs import forget_old_runs
from tests.integration.support import deliver, event, lines, said
from tests.torture.figures import Figures
from tests.torture.holdings import holdings

# Kept for ever: that a delivery was landed, so that it is not landed again, and where a link to a run's page leads.
_FOR_EVER = {"raw/index.sqlite delivery": 1, "raw/index.sqlite seen": 1, "files of data_docs": 1}


def test_an_hour_leaves_no_more_than_the_hour_before(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is past its time at each upkeep: events, snapshots, runs."""
    # Else small files wait until they are enough.
    monkeypatch.setattr(compaction, "_ENOUGH", 2)
    monkeypatch.setattr(maintenance, "now_utc", lambda: now_utc() + timedelta(days=40))
    brief = settings.model_copy(update={"run_history": timedelta(0), "retention": "1d"})
    allowed = Allowed(trust_clock=True, large_deletion=True)
    held = []
    for hour in range(3):
        deliver(settings, lines([event(f"{hour}-{number}") for number in range(3)]), hour=hour)
        said(settings, "run", AUDIT_DOCS_RUNS="1")
        done = maintain(brief, allowed, forget_old_runs)
        assert (done.counts["runs forgotten"], done.counts["raw files removed"]) == (1, 1)
        held.append(holdings(settings))
    _, before, after = held
    grown = {name: after[name] - before[name] for name in sorted(after) if after[name] > before[name]}
    assert grown == _FOR_EVER
    Figures("an hour and its upkeep, short").add(rounds=3, kept_for_ever=sum(grown.values()))


def test_ticks_of_the_schedules_and_sensors_are_kept_for_a_time(settings: Settings) -> None:
    """A sensor that fails, or starts a run, each minute of a year would leave half a million."""
    from dagster._core.definitions.run_request import InstigatorType

    with instance(settings) as opened:
        for kind in (InstigatorType.SCHEDULE, InstigatorType.SENSOR):
            assert all(days > 0 for days in opened.get_tick_retention_settings(kind).values())
