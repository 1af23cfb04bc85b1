"""A run as the data docs show it outside its page: counts, and what was found. No Great Expectations in here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Level = Literal["error", "warning", "passed"]
LEVELS: tuple[Level, ...] = ("error", "warning", "passed")


@dataclass(frozen=True)
class Found:
    """An expectation that found something: its title, and how many of how many items were unexpected."""

    title: str
    level: Level
    unexpected: int
    evaluated: int


@dataclass(frozen=True)
class SuiteSummary:
    """One suite's outcome in one run: how many expectations passed, and those that did not, errors first."""

    suite: str
    passed: int
    found: tuple[Found, ...]

    @property
    def error(self) -> int:
        """How many came out as an error."""
        return sum(found.level == "error" for found in self.found)

    @property
    def warning(self) -> int:
        """How many came out as a warning."""
        return sum(found.level == "warning" for found in self.found)

    @property
    def level(self) -> Level:
        """The worst that there is."""
        return "error" if self.error else "warning" if self.warning else "passed"


@dataclass(frozen=True)
class RunSummary:
    """One run, as the front page and the history show it; it started at `run_time`, aware, UTC."""

    run_id: str
    run_time: datetime
    suites: tuple[SuiteSummary, ...]
    published: bool

    @property
    def started(self) -> str:
        """When the run started, to the second, for people."""
        return started_text(self.run_time)

    @property
    def month(self) -> str:
        """The month that it started in."""
        return month_of(self.run_time)

    @property
    def name(self) -> str:
        """What its page, and its line in the history, are called."""
        return page_name(self.run_id)

    @property
    def page(self) -> str:
        """Its page, relative to the site's root."""
        return f"validations/{self.name}.html"


def started_text(run_time: datetime) -> str:
    """When a run started, aware, UTC, to the second, for people."""
    return f"{run_time:%Y-%m-%d %H:%M:%S UTC}"


def month_of(run_time: datetime) -> str:
    """The month that a run started in, as `YYYY-MM`."""
    return f"{run_time:%Y-%m}"


def page_name(run_id: str) -> str:
    """A file name for a run: its id where that can be one, else what is readable of it and a hash."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", run_id):
        return run_id
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", run_id).strip("-")[:60]
    return f"{readable}-{hashlib.sha256(run_id.encode()).hexdigest()[:12]}"
