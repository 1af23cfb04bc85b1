"""Cross tables: the events of each value of one field by those of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from activity_audit.report import time_fields
from activity_audit.report.queries.groups import LARGEST, Group, GroupOrder, Ranked, ranked
from activity_audit.report.queries.measures import NUMBERS, measured_cells
from activity_audit.report.queries.warehouse import Query, remembered
from activity_audit.warehouse.events.filters import Filters

# A month has so many days.
MOST_COLUMNS = 31


@dataclass(frozen=True)
class Cross:
    """The rows and columns in their orders, how many there are of each in all, and the cells that have an event.

    A cell is found by the places of its row and its column; place -1 is all the others together.
    """

    rows: Ranked
    columns: Ranked
    cells: dict[tuple[int, int], Group]

    @property
    def weight(self) -> int:
        """How many rows of other answers take as much memory."""
        return 1 + len(self.cells) + len(self.rows.rows) + len(self.columns.rows)

    def highest(self, measure: str) -> float:
        """The most that a cell of a shown row and column has of a measure."""
        shown = (cell for (row, column), cell in self.cells.items() if row >= 0 <= column)
        return max((size(cell, measure) for cell in shown), default=0)


def columns(query: Query, filters: Filters, field: str, limit: int = MOST_COLUMNS) -> Ranked:
    """The columns of a cross table: those with the most events, or the newest units of time in their order."""
    if field not in time_fields.FIELDS:
        return ranked(query, filters, field, limit=limit)
    found = ranked(query, filters, field, GroupOrder("value", True), limit=limit)
    return Ranked(found.rows[::-1], found.number)


@remembered
def cross(
    query: Query,
    filters: Filters,
    fields: tuple[str, str],
    order: GroupOrder = LARGEST,
    *,
    limit: int = 200,
    most_columns: int = MOST_COLUMNS,
    after: Group | None = None,
    people: bool = False,
) -> Cross:
    """The groups of the first field, as `ranked` has them, by those of the second."""
    rows = ranked(query, filters, fields[0], order, limit=limit, after=after, people=people)
    across = columns(query, filters, fields[1], most_columns)
    spelled = query.labels.spelled(filters)
    sql, bound, reads = measured_cells(query, spelled, fields, people=people)
    places = ", ".join(f"{_place(number)} as place_{number}" for number in range(2))
    named: list[Any] = []
    for field, groups in zip(fields, (rows.rows, across.rows), strict=True):
        known = [group.value for group in groups]
        named.append(known.index(None) if None in known else -1)
        # A value that is not there keeps the places of the others.
        is_time = field in time_fields.FIELDS
        named.append([time_fields.found(field, str(one)) if is_time and one is not None else one for one in known])
    found = query.rows(
        f"select place_0, place_1, {NUMBERS} from (select {places}, outcome, person, n, n_before from ({sql})) "
        "group by place_0, place_1",
        [*named, *bound],
        reads=reads,
    )
    cells = {
        (row, column): Group(None, total, success, failure, names if people else None)
        for row, column, total, success, failure, names, _ in found
    }
    return Cross(rows, across, cells)


def _place(number: int) -> str:
    value = f"value_{number}"
    return f"case when {value} is null then ? else coalesce(list_position(?, {value}), 0) - 1 end"


def size(group: Group, measure: str) -> float:
    """What a group has of a measure; its share of all is as large as its number of events."""
    return float(getattr(group, "count" if measure == "share" else measure) or 0)
