"""The data docs' front page: the runs, newest first. No Great Expectations in here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader

TEMPLATES_DIR = Path(__file__).with_name("templates")

Level = Literal["error", "warning", "passed"]
LEVELS: tuple[Level, ...] = ("error", "warning", "passed")


@dataclass(frozen=True)
class SuiteSummary:
    """One suite's outcome in one run, as the front page shows it and the run's folder keeps it.

    `run_time` is ISO 8601 in UTC; `page` is relative to the site's root.
    """

    run_id: str
    run_time: str
    suite: str
    page: str
    error: int
    warning: int
    passed: int

    @property
    def started(self) -> str:
        """When the run started, to the second, for people."""
        return datetime.fromisoformat(self.run_time).strftime("%Y-%m-%d %H:%M:%S UTC")

    @property
    def level(self) -> Level:
        """The worst that there is."""
        return "error" if self.error else "warning" if self.warning else "passed"


def summarise(run_id: str, run_time: datetime, suite: str, page: str, levels: Sequence[Level]) -> SuiteSummary:
    """The summary of a suite whose expectations came out at `levels`; `page` is relative to the site's root."""
    return SuiteSummary(
        run_id=run_id,
        run_time=run_time.astimezone(UTC).isoformat(),
        suite=suite,
        page=page,
        error=levels.count("error"),
        warning=levels.count("warning"),
        passed=levels.count("passed"),
    )


def index_page(runs: Sequence[Sequence[SuiteSummary]], suites: Sequence[str]) -> str:
    """The front page; `runs` are newest first, each with the suites that it evaluated."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES_DIR), autoescape=True)
    rows = [(run[0], {summary.suite: summary for summary in run}) for run in runs]
    return environment.get_template("audit_index.html").render(runs=rows, suites=suites)
