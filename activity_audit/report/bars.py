"""Charts of bars and lines: numbers in, places and labels out. Pages and files draw them, each in its own colours.

Places across are in percent of the chart's width, and heights in units of which the chart has `HEIGHT`; so a page of
any width has text of one size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["stacked", "bar", "line"]
HEIGHT = 220.0
_BOTTOM, _TOP = 26.0, 8.0
# So many labels have room on a wide page; every other one is shown on a narrow page.
_MOST_LABELS = 8
_MOST_TICKS = 6


@dataclass(frozen=True)
class Mark:
    """A part of a bar, or a point of a line: of the series of this number, from 0."""

    series: int
    y: float
    height: float


@dataclass(frozen=True)
class Column:
    """What stands for one unit of time or group; `label` is below it where there is room, `point` is the caller's."""

    x: float
    width: float
    middle: float
    marks: list[Mark]
    label: str
    is_minor: bool
    point: Any


@dataclass(frozen=True)
class Tick:
    """A line across the chart, and the number that it stands for."""

    y: float
    value: int


@dataclass(frozen=True)
class Chart:
    """A chart; `lines` has the places of each line, across in thousandths of the width."""

    kind: Kind
    height: float
    top: float
    baseline: float
    columns: list[Column]
    ticks: list[Tick]
    lines: list[str]


def chart(kind: Kind, labels: Sequence[str], series: Sequence[Sequence[float]], points: Sequence[Any]) -> Chart:
    """The columns of these labels, with a number of each series for every column; a `bar` is of all series together.

    The axis ends at the first round number that is not less than the highest.
    """
    columns: list[Sequence[float]] = list(zip(*series, strict=True)) if series else []
    if kind == "bar":
        columns = [(sum(numbers),) for numbers in columns]
    heights = [sum(numbers) if kind == "stacked" else max(numbers, default=0) for numbers in columns]
    step = tick_step(max(heights, default=0))
    number = max(1, math.ceil(round(max(heights, default=0) / step, 6)))
    baseline = HEIGHT - _BOTTOM
    scale = (baseline - _TOP) / (step * number)
    width = 100 / max(1, len(columns))
    every = -(-len(columns) // _MOST_LABELS) or 1
    made = []
    for index, numbers in enumerate(columns):
        marks, below = [], 0.0
        for place, value in enumerate(numbers):
            marks.append(Mark(place, round(baseline - (below + value) * scale, 2), round(value * scale, 2)))
            below += value if kind == "stacked" else 0
        made.append(
            Column(
                x=round(width * (index + 0.1), 3),
                width=round(width * 0.8, 3),
                middle=round(width * (index + 0.5), 3),
                marks=marks,
                label=labels[index] if index % every == 0 else "",
                is_minor=index // every % 2 > 0,
                point=points[index],
            )
        )
    ticks = [Tick(round(baseline - place * step * scale, 2), place * step) for place in range(number + 1)]
    lines = []
    if kind == "line":
        for place in range(len(series)):
            lines.append(" ".join(f"{column.middle * 10:.2f},{column.marks[place].y}" for column in made))
    return Chart(kind, HEIGHT, _TOP, baseline, made, ticks, lines)


def tick_step(highest: float) -> int:
    """The least of 1, 2, 5, 10, 20, 50, … of which a few reach the highest number."""
    power = 1
    while True:
        for step in (1, 2, 5):
            if step * power * _MOST_TICKS >= highest:
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


def change(now: int, before: int) -> str:
    """How a number has changed as people read it: `+12 (+8.3 %)`; from nothing there is no share."""
    if now == before:
        return "0"
    moved = now - before
    return f"{moved:+,}" + (f" ({100 * moved / before:+,.1f} %)" if before else " (new)")
