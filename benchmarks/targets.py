"""What is to be reached, on two quiet cores: each row of the table, from the figures of its part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Target:
    """A figure with the limit that holds it and the goal beyond it; `at_least` where more is better.

    A ratio has no unit.
    """

    what: str
    part: str
    figure: Callable[[Figures], float]
    unit: str
    target: float
    goal: float | None = None
    at_least: bool = False
    headline: bool = False  # also a row of the README

    def met(self, value: float) -> str:
        """`goal`, `target`, or `missed`."""
        sign = -1 if self.at_least else 1
        if self.goal is not None and sign * value <= sign * self.goal:
            return "goal"
        return "target" if sign * value <= sign * self.target else "missed"

    def limits(self) -> tuple[str, str]:
        """Target and goal as text."""
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.target:g}", "" if self.goal is None else f"{sign} {self.goal:g}"


def _named(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name]


def _quickest_other(figures: Figures) -> float:
    bulk, wall = "a bulk load, ", " wall"
    times = {name: took for name, took in figures.items() if name.startswith(bulk) and name.endswith(wall)}
    ours = times.pop(f"{bulk}activity-audit{wall}")
    return min(times.values()) / ours


TARGETS = (
    Target("one hour, `audit run`", "hour", _named("hour wall"), "s", 12, 6, headline=True),
    Target("one hour against its floor", "hour", _named("hour against floor"), "", 1.35, 1.2),
    Target("one hour, code location loaded", "hour", _named("loaded hour wall"), "s", 12, 5),
    Target(
        "that hour on 100M events against an empty warehouse",
        "hour-on-history",
        _named("hour on history against empty"),
        "",
        1.15,
    ),
    *(
        Target(
            f"bulk load of 10M events, {name}, against bare DuckDB",
            f"bulk-{form}",
            _named(f"bulk {form} speed, of bare DuckDB's"),
            "",
            target,
            goal,
            at_least=True,
            headline=form == "ndjson",
        )
        for form, name, target, goal in (
            ("ndjson", "NDJSON", 0.14, 0.25),
            ("gz", "gzip", 0.12, 0.2),
            ("csv", "CSV", 0.12, 0.2),
        )
    ),
    Target(
        "bulk load of 10M events, the quickest other tool's time against ours",
        "peers",
        _quickest_other,
        "",
        1,
        2,
        at_least=True,
        headline=True,
    ),
    Target("peak memory at 10M events", "bulk-ndjson", _named("bulk ndjson load peak memory"), "MiB", 3072),
    Target("peak memory at 50M events", "bulk-50m", _named("bulk ndjson load peak memory"), "MiB", 3072, headline=True),
    Target(
        "Great Expectations, of the bulk load's time",
        "bulk-ndjson",
        _named("bulk ndjson checks, of the load's time"),
        "",
        0.25,
    ),
    Target("fact on disk against the NDJSON", "bulk-ndjson", _named("bulk ndjson fact, of the feed files"), "", 0.2),
    Target(
        "raw and fact on disk against the NDJSON",
        "bulk-ndjson",
        _named("bulk ndjson raw and fact, of the feed files"),
        "",
        0.35,
        0.25,
        headline=True,
    ),
    Target("a year of hourly files, CPU of each file", "year", _named("CPU per file"), "ms", 4, 2),
    Target("a year's backfill against a month's, CPU per event", "year", _named("long against short"), "", 1.15, 1),
    Target("verify, 100M against 10M events, CPU per event", "upkeep", _named("verify per event"), "", 1.15, 1),
    Target("verify, 100M against 10M events, peak memory", "upkeep", _named("verify memory"), "", 1.15, 1),
    Target("maintain, 100M against 10M events, CPU per event", "upkeep", _named("maintain per event"), "", 1.15, 1),
    Target("maintain, 100M against 10M events, peak memory", "upkeep", _named("maintain memory"), "", 1.15, 1),
)
