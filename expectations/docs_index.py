"""The data docs' own pages: the front page, the history of each month, and how a run is shown there.

No Great Expectations in here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, Template

TEMPLATES_DIR = Path(__file__).with_name("templates")
Level = Literal["error", "warning", "passed"]
LEVELS: tuple[Level, ...] = ("error", "warning", "passed")


@dataclass(frozen=True)
class Order:
    """Whether the warehouse was in order when it was looked at (UTC): the level, words and answer of each area."""

    looked_at: datetime
    verdicts: Sequence[tuple[str, str, str, str]]


def index_page(
    runs: Sequence[RunSummary],
    suites: Mapping[str, str],
    months: Sequence[str],
    review: str | None,
    order: Order | None,
) -> str:
    """The front page.

    Args:
        runs: those that have a page, newest first.
        suites: the title of each suite, by its name.
        months: those that have a history, as `YYYY-MM`, newest first.
        review: the auditor's page, relative to the site's root, if there is one.
        order: whether the warehouse is in order, if that is known.
    """
    return _template("audit_index.html").render(runs=runs, suites=suites, months=months, review=review, order=order)


def month_page(month: str, runs: Collection[RunSummary], suites: Mapping[str, str], kept: Collection[str]) -> str:
    """The history of a month, one row for each run, newest first; `kept` are the names of those that have a page."""
    return _template("audit_month.html").render(month=month, runs=runs, suites=suites, kept=kept)


def moved_page(run_id: str, started: datetime) -> str:
    """What stands in the place of a page that is not kept any more, and leads to the run's line in the history."""
    target = f"../history/{month_of(started)}.html#{page_name(run_id)}"
    return _template("audit_moved.html").render(started=started_text(started), target=target)


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES_DIR), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)


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
