"""What the data docs keep of a run besides its page: counts, and what was found. No Great Expectations in here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

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
    """One run, as the front page and the history show it; `run_time` is ISO 8601 in UTC.

    `published` is None in what an earlier release wrote, which did not wait for the transaction.
    """

    run_id: str
    run_time: str
    suites: tuple[SuiteSummary, ...]
    published: bool | None

    @property
    def started(self) -> str:
        """When the run started, to the second, for people."""
        return datetime.fromisoformat(self.run_time).strftime("%Y-%m-%d %H:%M:%S UTC")

    @property
    def month(self) -> str:
        """The month that it started in, as `YYYY-MM`."""
        return self.run_time[:7]

    @property
    def name(self) -> str:
        """What its page, and its line in the history, are called."""
        return page_name(self.run_id)

    @property
    def page(self) -> str:
        """Its page, relative to the site's root."""
        return f"validations/{self.name}.html"

    def as_dict(self) -> dict[str, Any]:
        """The run as JSON can carry it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunSummary:
        """What `as_dict` made.

        Raises:
            KeyError, TypeError: if it is not in this version's form.
        """
        suites = (
            SuiteSummary(suite["suite"], suite["passed"], tuple(Found(**found) for found in suite["found"]))
            for suite in data["suites"]
        )
        return cls(data["run_id"], data["run_time"], tuple(suites), data.get("published"))


def summarise(run_id: str, run_time: datetime, suites: tuple[SuiteSummary, ...], *, published: bool) -> RunSummary:
    """The summary of a run; `run_time` is aware."""
    return RunSummary(run_id, run_time.astimezone(UTC).isoformat(), suites, published)


def page_name(run_id: str) -> str:
    """A file name for a run: its id where that can be one, else what is readable of it and a hash."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", run_id):
        return run_id
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", run_id).strip("-")[:60]
    return f"{readable}-{hashlib.sha256(run_id.encode()).hexdigest()[:12]}"
