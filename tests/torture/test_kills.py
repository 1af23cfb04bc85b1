"""kill -9 of any command at any moment, in a home that lives through all of it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import dagster as dg
import psutil
import pytest

from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse.run_lock import exclusive
from orchestration import instance as dagster_instance
from tests.integration.support import begin, event, until
from tests.torture.figures import Figures
from tests.torture.life import Fault, Life
from tests.torture.readers import readers
from tests.torture.state import require_well
from tests.torture.steps import ANY_CALL, start

# The ones that write into the warehouse come up more often.
COMMANDS = ("run",) * 6 + ("replay", "maintain", "publish") * 2 + ("verify", "evidence", "review", "export", "status")


def _kill(life: Life, words: Sequence[str], fault: Fault, figures: Figures) -> None:
    """Start a command and kill it; it may be done before."""
    step, call, seconds = fault
    process = start(life.settings, *words, step=step, call=call, **life.environment(words))
    if not step:
        time.sleep(seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    _, complaint = process.communicate(timeout=600)
    assert "Traceback" not in complaint, complaint
    figures.add(faults=int(process.returncode == -signal.SIGKILL))
    # What it started ends with it.
    until(lambda: not _is_group_there(process.pid))


def _is_group_there(group: int) -> bool:
    """Whether a process of the group is at work; where nobody waits for those that ended, they stay as zombies."""
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.Error):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def _rounds(folder: Path, number: int, seed: int, figures: Figures) -> None:
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"))
    life = Life(settings, random.Random(seed))
    life.heal("run", life.command("run"))
    with readers(life.settings, figures, pause=0.5):
        for round_ in range(number):
            name = life.chance.choice(COMMANDS)
            _round(life, name, figures, f"seed {seed}, round {round_}: {name}")
    for round_ in range(number // 20):
        _round(life, "move", figures, f"seed {seed}, move {round_}")
    figures.add(inputs=len(list((folder / "landing").rglob("*.ndjson"))))


def _round(life: Life, name: str, figures: Figures, about: str) -> None:
    if name == "replay" and life.chance.random() < 0.5:
        life.heal("run", life.command("run"))
    for _ in range(life.chance.choice((1, 1, 2))):
        words = life.command(name)
        _kill(life, words, life.fault(name), figures)
    started = time.monotonic()
    try:
        life.heal(name, words)
        figures.most(longest_healing_s=time.monotonic() - started)
        require_well(life.settings, life.accepted, figures)
        if name == "publish":
            life.require_copies()
        _require_nothing_left(life)
    except Exception as error:
        raise AssertionError(f"{about}, in {life.settings.home}: {error}") from error
    figures.add(rounds=1)


def _require_nothing_left(life: Life) -> None:
    settings = life.settings
    # A run that was killed after it published leaves nothing to do: the next that has something clears the place.
    with exclusive(settings):
        assert not list(settings.work_dir.glob("*.duckdb*"))
    assert not [path for path in settings.raw_dir.rglob(".*") if path.is_file() and path.suffix == ".parquet"]
    with dagster_instance.instance(settings) as instance:
        under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])
        assert instance.get_runs_count(under_way) == 0


def test_ten_kills(settings: Settings) -> None:
    """Without anything that heals in between, and each killed rather early, which is cheap."""
    begin(settings, event("first"))
    figures = Figures("kill -9 of ten commands in a row")
    life = Life(settings, random.Random(1), hour=1, accepted=["first"])
    for name in ("run", "replay", "run", "maintain", "run", "publish", "run", "evidence", "run", "verify"):
        words = life.command(name)
        _kill(life, words, (ANY_CALL, int(10 ** life.chance.uniform(0, 3.5)), 0.0), figures)
    life.heal("replay", ("replay",))
    require_well(settings, life.accepted, figures)
    _require_nothing_left(life)
    figures.add(rounds=1)


@pytest.mark.torture
def test_two_hundred_kills(tmp_path: Path, rounds: int, seed: int) -> None:
    _rounds(tmp_path, rounds, seed, Figures("kill -9 of any command, at any call or moment"))
