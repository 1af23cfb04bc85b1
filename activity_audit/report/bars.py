"""Charts of bars: numbers in, coordinates and labels out. Pages and files draw them, each in its own colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

WIDTH, HEIGHT = 960.0, 220.0
_LEFT, _BOTTOM, _TOP = 64.0, 26.0, 8.0
_MOST_LABELS = 8
# The room that a label takes from the left edge of its bar.
_LABEL = 76.0


@dataclass(frozen=True)
class Bar:
    """One bar of two parts, one on the other; `label` stands below it where there is room."""

    x: float
    width: float
    success_y: float
    success_height: float
    failure_y: float
    failure_height: float
    point: Any
    label: str


@dataclass(frozen=True)
class Tick:
    """A line across the chart, and the number that it stands for."""

    y: float
    value: int


@dataclass(frozen=True)
class Chart:
    """A chart of bars in a box of `width` by `height`."""

    width: float
    height: float
    left: float
    baseline: float
    bars: list[Bar]
    ticks: list[Tick]


def bars(points: Sequence[tuple[Any, int, int]], labels: Sequence[str]) -> Chart:
    """Bars of (what, successes, failures), each under its label; of labels that would overlap, some are left out."""
    highest = nice_ceiling(max((success + failure for _, success, failure in points), default=0))
    baseline = HEIGHT - _BOTTOM
    scale = (baseline - _TOP) / highest
    step = (WIDTH - _LEFT) / max(1, len(points))
    every = -(-len(points) // _MOST_LABELS) or 1
    made = []
    for index, (point, success, failure) in enumerate(points):
        made.append(
            Bar(
                x=round(_LEFT + index * step + min(2, step * 0.1), 2),
                width=round(max(1, step - min(4, step * 0.2)), 2),
                success_y=round(baseline - success * scale, 2),
                success_height=round(success * scale, 2),
                failure_y=round(baseline - (success + failure) * scale, 2),
                failure_height=round(failure * scale, 2),
                point=point,
                label=labels[index] if index % every == 0 and _LEFT + index * step + _LABEL <= WIDTH else "",
            )
        )
    parts = 4 if highest % 4 == 0 else 5 if highest % 5 == 0 else 1
    ticks = [
        Tick(round(baseline - highest * part / parts * scale, 2), highest * part // parts) for part in range(parts + 1)
    ]
    return Chart(WIDTH, HEIGHT, _LEFT, baseline, made, ticks)


def nice_ceiling(value: int) -> int:
    """The least of 1, 2, 4, 5, 10, 20, 40, 50, … that is not less than the value, and at least 1."""
    power = 1
    while True:
        for step in (1, 2, 4, 5):
            if step * power >= value:
                return step * power
        power *= 10


def share(value: int, total: int) -> float:
    """How many hundredths of `total` the value is, exactly in proportion; something is never quite nothing.

    Whoever draws it gives a part that is too short to be seen the width of a hairline.
    """
    return max(0.0001 if value else 0.0, round(100 * value / total, 4)) if total else 0.0


def percent(value: int, total: int) -> str:
    """The share of the total as people read it; what is neither nothing nor all is not said to be."""
    if not total or not value:
        return "0 %"
    if value == total:
        return "100 %"
    shown = 100 * value / total
    return "< 0.1 %" if shown < 0.1 else "> 99.9 %" if shown > 99.9 else f"{shown:.1f} %"


def label(at: datetime, unit: str) -> str:
    """A unit of time below its bar."""
    return at.strftime({"hour": "%m-%d %H:00", "month": "%Y-%m"}.get(unit, "%Y-%m-%d"))


def long_label(at: datetime, unit: str) -> str:
    """A unit of time where there is room for all of it."""
    named = {"hour": "%Y-%m-%d %H:00", "week": "week of %Y-%m-%d", "month": "%Y-%m"}.get(unit, "%Y-%m-%d")
    return at.strftime(named)
