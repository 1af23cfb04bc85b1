"""Processes killed at any moment, and processes side by side: all comes out the same, and no reader sees half of it."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import dagster as dg
import pytest

from activity_audit.settings.core import Settings, load_settings
from activity_audit.simulator.simulate import simulate
from orchestration import instance as dagster_instance
from tests.integration.support import HOUR, audit, begin, deliver, dump, event, lines, run
from tests.torture.figures import Figures
from tests.torture.readers import readers
from tests.torture.state import require_well
from tests.torture.steps import ended, start


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict, float]:
    """Three simulated hours, run in peace: the settings, every table, and how long it took."""
    home = tmp_path_factory.mktemp("undisturbed")
    settings = load_settings(home=home, feed_url=str(home / "landing"))
    simulate(Path(settings.feed_root), hours=3, until=HOUR, events_per_hour=400, seed=7, defects=True)
    started = time.monotonic()
    audit(settings, "run")
    return settings, dump(settings), time.monotonic() - started


def test_killed_first_runs_leave_nothing_wrong(undisturbed: tuple[Settings, dict, float], tmp_path: Path) -> None:
    calm, expected, seconds = undisturbed
    settings = load_settings(home=tmp_path, feed_url=calm.feed_root)
    figures = Figures("kill -9 of a first run, at any moment")
    moments = random.Random(int(os.environ.get("AUDIT_TEST_SEED", "1")))
    for _ in range(2):
        process = start(settings, "run")
        time.sleep(moments.uniform(0.2, seconds * 1.1))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            figures.add(faults=1)
        process.communicate()
    audit(settings, "run")
    figures.add(rounds=1)
    assert dump(settings) == expected
    require_well(settings, [row[0] for row in expected["main.fact_activity_event"]], figures)
    assert json.loads(audit(settings, "status", "--output", "json", check=False).stdout)["events"]
    assert not list(settings.work_dir.glob("*.duckdb*"))
    assert not list(settings.raw_dir.glob("*/*/*/.*"))
    with dagster_instance.instance(settings) as instance:
        running = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
        assert instance.get_runs_count(running) == 0


@pytest.mark.slow
def test_two_first_runs_at_once(undisturbed: tuple[Settings, dict, float], tmp_path: Path) -> None:
    calm, expected, _ = undisturbed
    settings = load_settings(home=tmp_path, feed_url=calm.feed_root)
    both = [start(settings, "run") for _ in range(2)]
    for process in both:
        ended(process)
    assert dump(settings) == expected


def test_a_reader_never_sees_half_a_run_and_blocks_nobody(settings: Settings) -> None:
    begin(settings)
    figures = Figures("readers beside runs")
    ids = [[f"{hour}-{n}" for n in range(200)] for hour in range(1, 3)]
    with readers(settings, figures) as seen:
        for hour, new in enumerate(ids, 1):
            deliver(settings, lines(map(event, new)), hour=hour)
            run(settings, hour)
        time.sleep(0.5)
    assert set(seen) <= {1, 201, 401}
    assert seen[-1] == 401
    require_well(settings, ["a", *ids[0], *ids[1]], figures)
