"""What the home remembers of the last run, `audit verify` and `audit backup`, for monitoring: `$AUDIT_HOME/last.json`.

The warehouse does not have it: how long each stage took, a run that published nothing, and what a verification found.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from activity_audit.base.files import rewrite
from activity_audit.base.hours import iso, now_utc
from activity_audit.settings.core import Settings

_log = logging.getLogger(__name__)
_FILE = "last.json"
# How a run may end.
OUTCOMES = ("published", "blocked", "failed", "stopped")
_LANDING = "landing"


def read(settings: Settings) -> dict[str, Any]:
    """What is remembered: `run`, `landing`, `verify` and `backup`, those that there were; times are ISO 8601, UTC."""
    try:
        found = json.loads((settings.home / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def note(settings: Settings, what: str, content: dict[str, Any]) -> None:
    """Remember this of the last `what`. If the home cannot be written, nothing is remembered, and nothing fails."""
    path: Path = settings.home / _FILE
    with suppress(OSError), FileLock(path.with_name(f".{_FILE}.lock")):
        rewrite(path, json.dumps(read(settings) | {what: content | {"at": iso(now_utc())}}))


@contextmanager
def timed_landing(settings: Settings) -> Iterator[None]:
    """Remember how long the block, which lands deliveries, took."""
    began = time.monotonic()
    yield
    note(settings, _LANDING, {"seconds": round(time.monotonic() - began, 3)})


@dataclass
class Timed:
    """A run that is timed; `outcome` says how it ended, None if it was none that publishes."""

    progress: Callable[[str], None]
    outcome: str | None = None
    begun: list[tuple[str, float]] = field(default_factory=list)

    def stage(self, name: str) -> None:
        """A stage begins; the watcher of the run hears of it."""
        _log.info("stage: %s", name)
        self.begun.append((name, time.monotonic()))
        self.progress(name)

    def seconds(self) -> dict[str, float]:
        """How long each stage took until now."""
        found: dict[str, float] = {}
        ends = [*(begun for _, begun in self.begun), time.monotonic()][1:]
        for (name, begun), end in zip(self.begun, ends, strict=True):
            found[name] = round(found.get(name, 0) + end - begun, 3)
        return found


@contextmanager
def timed_run(settings: Settings, run_id: str, progress: Callable[[str], None]) -> Iterator[Timed]:
    """Remember how long each stage of the run in the block took, and how it ended."""
    timed = Timed(progress)
    try:
        yield timed
    except BaseException as error:
        timed.outcome = timed.outcome or ("failed" if isinstance(error, Exception) else "stopped")
        raise
    finally:
        if timed.outcome:
            note(settings, "run", {"run_id": run_id, "outcome": timed.outcome, "seconds": timed.seconds()})
