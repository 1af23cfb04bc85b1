"""The charts of the pages: the series of a chart, what each of its columns says, and where it leads. No HTML here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from activity_audit.report import bars, texts, time_fields
from activity_audit.report.queries.charts import looked_of
from activity_audit.report.queries.cross import Cross, size
from activity_audit.report.queries.groups import Group
from activity_audit.warehouse.coverage import Looked
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.long_texts import Value

# The colours that can be told apart; all other values have one together.
MOST_SERIES = 6
_LONGEST_LABEL = 14
_REMARKS: dict[Looked, str] = {
    "wholly": "", "partly": "; looked at in part, there may be more", "not": "; not looked at, nothing is known"
}  # fmt: skip
# A heat map has so many shades.
_SHADES = 5


@dataclass(frozen=True)
class Point:
    """A column: its name, its numbers as a sentence, where it leads, how much of it was looked at, and its period.

    That is as a URL zooms into it, None where it is no unit of time.
    """

    name: str
    says: str
    url: str | None
    looked: Looked
    zoom: str | None
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Drawing:
    """A chart, with the name and the class of each of its series."""

    chart: bars.Chart
    series: list[tuple[str, str]]
    points: list[Point]

    def has(self, looked: Looked) -> bool:
        """Whether a column is marked so."""
        return any(point.looked == looked for point in self.points)


def name_of(field: str, value: Value) -> str:
    """A group's value for people."""
    return time_fields.title(field, str(value)) if field in time_fields.FIELDS else texts.value_text(value)


def label_of(field: str, value: Value) -> str:
    """The same where there is little room."""
    if field in time_fields.FIELDS:
        return time_fields.short_title(field, str(value))
    name = texts.value_text(value)
    return name if len(name) <= _LONGEST_LABEL else f"{name[: _LONGEST_LABEL - 1]}…"


def shade(measure: str, highest: float, group: Group | None) -> int:
    """How dark a field of a heat map is: from 0, nothing, to 5, the most."""
    return math.ceil(round(_SHADES * size(group, measure) / highest, 6)) if group and highest else 0


def measured(group: Group | None, measure: str, total: int, *, compact: bool = False) -> str:
    """A cell of a cross table."""
    if group is None:
        return ""
    if measure == "share":
        return bars.percent(group.count, total)
    if measure == "failure_rate":
        return bars.percent(group.failure, group.count)
    return (texts.compact_text if compact else texts.count_text)(getattr(group, measure) or 0)


def drawn(
    kind: str,
    field: str,
    groups: Sequence[Group],
    looked: Mapping[tuple[str, ...], Looked],
    link: Callable[[Value], str | None],
    filters: Filters,
    split: tuple[str, Cross] | None = None,
) -> Drawing:
    """The chart of these groups of a field, by outcome, or by the columns of a cross table whose rows they are."""
    series: list[tuple[str, str]]
    numbers: list[list[int]]
    if kind == "bar":
        series, numbers = [("Events", "success")], [[group.count for group in groups]]
    elif split:
        other, cross = split
        shown = cross.columns.rows[:MOST_SERIES]
        series = [
            (name_of(other, group.value), _colour(other, group.value, place)) for place, group in enumerate(shown)
        ]
        numbers = [[_count(cross, row, place) for row in range(len(groups))] for place in range(len(shown))]
        rest = [group.count - sum(one[row] for one in numbers) for row, group in enumerate(groups)]
        if any(rest):
            series.append(("all others", "others"))
            numbers.append(rest)
    else:
        series = [("SUCCESS", "success"), ("FAILURE", "failure")]
        numbers = [[group.success for group in groups], [group.failure for group in groups]]
    points = []
    for row, group in enumerate(groups):
        marked: Looked = "wholly"
        if field in time_fields.FIELDS:
            marked = looked_of(looked, (str(group.value),), group.count)
        name = name_of(field, group.value) + (" UTC" if field in ("hour", "day") else "")
        counts = tuple(texts.count_text(one[row]) for one in numbers)
        said = ", ".join(f"{count} {what}" for count, (what, _) in zip(counts, series, strict=True))
        says = f"{name}: {said}{_REMARKS[marked]}"
        zoom = zoom_text(field, group.value, filters) if field in time_fields.UNITS else None
        points.append(Point(name, says, link(group.value) if group.count else None, marked, zoom, counts))
    labels = [label_of(field, group.value) for group in groups]
    return Drawing(bars.chart(cast(bars.Kind, kind), labels, numbers, points), series, points)


def zoom_text(field: str, value: Value, filters: Filters) -> str:
    """The unit of time as a URL zooms into it, as far as it is in the filters' period."""
    start, end = time_fields.span(field, str(value))
    return f"{max(start, filters.start):%Y-%m-%dT%H}/{min(end, filters.end):%Y-%m-%dT%H}"


def _colour(field: str, value: Value, place: int) -> str:
    return str(value).lower() if field == "outcome" and value in ("SUCCESS", "FAILURE") else f"series-{place}"


def _count(cross: Cross, row: int, column: int) -> int:
    found = cross.cells.get((row, column))
    return found.count if found else 0
