"""A clock that is wrong: what is published is right all the same, and what came last still counts as the last."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from activity_audit.base import hours
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from activity_audit.warehouse.verdicts import NEWEST_CHECKED
from tests.integration.support import deliver, event, lines, one, process_environment, query, run
from tests.torture.figures import Figures
from tests.torture.soak import Clock
from tests.torture.state import require_well

needs_clock = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Sets the clock of this process so far ahead."""

    def set_ahead(ahead: timedelta) -> None:
        class Wrong(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
                return datetime.now(tz) + ahead

        monkeypatch.setattr(hours, "datetime", Wrong)

    return set_ahead


def _manifest(*names: str) -> bytes:
    return json.dumps({"files": [{"name": name} for name in names]}).encode()


def test_what_came_last_counts_after_the_clock_was_set_back(
    settings: Settings, clock: Callable[[timedelta], None]
) -> None:
    figures = Figures("the clock set forward and back")
    ids = []
    clock(timedelta(hours=1))
    for number, names in enumerate((("a.ndjson", "gone.ndjson"), ("a.ndjson", "b.ndjson"))):
        ids.append(f"e{number}")
        deliver(settings, lines([event(ids[-1])]), names[number])
        deliver(settings, _manifest(*names), "_manifest.json")
        last = run(settings)
        clock(timedelta(0))
        figures.add(faults=1)
    assert query(settings, "select status, detail from quality.feed_reconciliation where feed = 'search'") == [
        ("balanced", None)
    ]
    assert one(settings, NEWEST_CHECKED) == last.run_id
    with lake.reader(settings) as connection:
        assert lake.snapshot(connection).run_id == last.run_id
    require_well(settings, ids, figures)


class _Commands:
    """Real commands on a home, each by a clock of its own."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._clock = settings, Clock(folder)

    def __call__(self, ahead: timedelta, *command: str, code: int = 0) -> str:
        """What a command says whose clock is so far ahead."""
        self._clock.set(datetime.now(UTC) + ahead)
        given = process_environment(self._settings, **self._clock.environment)
        audit = str(Path(sys.executable).with_name("audit"))
        done = subprocess.run([audit, *command], env=given, capture_output=True, text=True, timeout=300, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, f"{ahead} {command}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@needs_clock
@pytest.mark.torture
def test_commands_by_a_clock_that_jumps(settings: Settings, tmp_path: Path) -> None:
    figures = Figures("the clock set forward and back")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)
    command, ids = _Commands(settings, tmp_path), []
    when = f"{now:%Y-%m-%dT%H}:15:00Z"
    folder = Path(settings.feed_root) / "search" / f"{now:%Y-%m-%d/%H}"
    folder.mkdir(parents=True)

    def delivered(name: str) -> list[str]:
        new = [f"{name}-{n}" for n in range(30)]
        (folder / f"{name}.ndjson").write_bytes(lines([event(one, eventTime=when) for one in new]))
        return new

    # A clock that is behind takes nothing of hours that have not begun by it, and one that is ahead takes all.
    right = timedelta(0)
    moves = (timedelta(hours=1), right, timedelta(minutes=-20), timedelta(days=3), right)
    for number, ahead in enumerate(moves):
        ids += delivered(str(number))
        command(ahead, "run")
        command(ahead, "verify")
        figures.add(faults=1, rounds=1)
        require_well(settings, ids, figures)
    waiting = delivered("waiting")
    assert "lie in the future" in command(timedelta(days=-30), "run")
    require_well(settings, ids, figures)
    command(right, "run")
    ids += waiting
    require_well(settings, ids, figures)
    figures.add(faults=2, rounds=1)
    kept = one(settings, "select count(*) from audit.snapshots()")
    assert "nothing is deleted or expired; correct the clock" in command(timedelta(days=400), "maintain", code=1)
    assert one(settings, "select count(*) from audit.snapshots()") >= kept
    require_well(settings, ids, figures)
    newest = one(settings, NEWEST_CHECKED)
    command(right, "maintain")
    assert one(settings, NEWEST_CHECKED) == newest
