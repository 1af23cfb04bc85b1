"""Commands side by side, with readers beside all of them: each does its work, and none sees half of another's."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from activity_audit.settings.core import load_settings
from tests.torture.figures import Figures
from tests.torture.life import Life
from tests.torture.readers import readers
from tests.torture.state import require_well
from tests.torture.steps import ended, start

# Two runs at once, and everything else that an installation does meanwhile.
TOGETHER = ("run", "run", "maintain", "verify", "replay", "publish", "status", "export")


def _together(life: Life, names: tuple[str, ...], figures: Figures) -> None:
    """Start all of them; only `audit status` may find something: what is not published yet."""
    life.command("run")
    commands = [tuple(life.command(name)) if name != "run" else ("run",) for name in names]
    started = time.monotonic()
    processes = [start(life.settings, *words, **life.environment(words)) for words in commands]
    for name, process in zip(names, processes, strict=True):
        ended(process, None if name == "status" else 0)
    figures.most(longest_wait_s=time.monotonic() - started)
    life.heal("replay", ("replay",))
    life.heal("publish", life.command("publish"))
    require_well(life.settings, life.accepted, figures)
    life.require_copies()
    figures.add(rounds=1)


@pytest.mark.torture
def test_all_commands_beside_each_other(tmp_path: Path, rounds: int, seed: int) -> None:
    settings = load_settings(home=tmp_path / "home", feed_url=str(tmp_path / "landing"))
    life, figures = Life(settings, random.Random(seed)), Figures("two runs, upkeep, verify, replay and copies at once")
    life.heal("run", life.command("run"))
    with readers(settings, figures, pause=0.2):
        for round_ in range(max(1, rounds // 10)):
            try:
                _together(life, TOGETHER, figures)
            except Exception as error:
                raise AssertionError(f"seed {seed}, round {round_}, in {settings.home}: {error}") from error
