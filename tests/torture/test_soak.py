"""Hours and their upkeep, again and again: what is kept for a time only is bounded by that time."""

from __future__ import annotations

import csv
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from statistics import median

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


# After three days of events, a day of snapshots and runs, and the upkeep that follows.
_SETTLED = 125
_FLAT = (
    "run_cpu_s", "runner_mib", "sensor_mib", "report_mib", "report_descriptors", "snapshots", "data_files", "raw_files",
    "dagster_files", "dagster_bytes", "catalog_bytes",
)  # fmt: skip


@pytest.mark.torture
def test_five_hundred_hours_at_full_speed_are_flat(tmp_path: Path) -> None:
    """From the first quarter after all has settled to the last one, nothing grows by more than a fifth."""
    table = tmp_path / "soak.csv"
    command = [sys.executable, "-m", "tests.torture.soak", "--folder", str(tmp_path / "soak"), "--csv", str(table)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True)
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    settled = rows[_SETTLED:]
    quarter = len(settled) // 4
    grown = {}
    for name in _FLAT:
        first, last = (
            median(float(row[name]) for row in part if row[name]) for part in (settled[:quarter], settled[-quarter:])
        )
        grown[name] = last / first
    Figures("500 hours at full speed").add(rounds=len(rows), events=int(rows[-1]["events"]))
    Figures("500 hours at full speed").most(**{f"{name}_last_against_first": ratio for name, ratio in grown.items()})
    assert {name: ratio for name, ratio in grown.items() if ratio > 1.2} == {}


def test_ticks_of_the_schedules_and_sensors_are_kept_for_a_time(settings: Settings) -> None:
    """A sensor that fails, or starts a run, each minute of a year would leave half a million."""
    from dagster._core.definitions.run_request import InstigatorType

    with instance(settings) as opened:
        for kind in (InstigatorType.SCHEDULE, InstigatorType.SENSOR):
            assert all(days > 0 for days in opened.get_tick_retention_settings(kind).values())
