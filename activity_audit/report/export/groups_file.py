"""Groups, or a cross table, as a file: what the page shows of them, with every group up to a bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from activity_audit.report import time_fields
from activity_audit.report.export.about import About
from activity_audit.report.export.export import write_whole
from activity_audit.report.export.layout import AS_EVER, Layout
from activity_audit.report.queries import events
from activity_audit.report.queries.charts import looked_of
from activity_audit.report.queries.coverage import coverage_of, looked_by
from activity_audit.report.queries.cross import Cross, cross
from activity_audit.report.queries.groups import Group, GroupOrder, Ranked, ranked
from activity_audit.report.queries.measures import people_are_quick
from activity_audit.report.queries.warehouse import Query
from activity_audit.report.texts import value_text
from activity_audit.report.titles import LOOKED
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.long_texts import Value, whole_text

MOST = 100_000
# A cell is found by the places of its row and its column among all of them.
MOST_CROSSED = 2_000


@dataclass(frozen=True)
class GroupsAsked:
    """The groups of a field, or that field across another, as `ranked` and `cross` take them.

    `titles` has how people call the fields; `people` says whether different people are wanted even if it takes long,
    `before` is the period that is compared with.
    """

    field: str
    order: GroupOrder
    titles: tuple[str, str]
    across: str = ""
    measure: str = "count"
    people: bool = False
    before: Filters | None = None

    @property
    def says(self) -> str:
        """For people: what is grouped by."""
        return f"{self.titles[0]} and {self.titles[1]}" if self.across else self.titles[0]


def export_groups(
    query: Query,
    filters: Filters,
    asked: GroupsAsked,
    target: Path,
    made_at: datetime,
    on_rows: Callable[[int], None],
    layout: Layout = AS_EVER,
) -> About:
    """Write the groups of what the filters keep to `target`, in the format of its suffix, in place of what is there.

    Units of time say whether their feed hours were looked at. The link to the view is that of `layout`.

    Raises:
        OSError: if the file cannot be written. What was there under its name then is still there.
        QueryStoppedError: if the query is stopped.
    """
    total = events.count(query, filters)
    if asked.across:
        people = asked.measure == "people"
        table = cross(query, filters, (asked.field, asked.across), asked.order, limit=MOST_CROSSED, people=people)
        found, columns = table.rows, _crossed(table, asked, total)
    else:
        people = not query.is_masked and asked.field != "triggered_by"
        people = people and (asked.people or people_are_quick(query, filters, asked.field))
        found = ranked(query, filters, asked.field, asked.order, limit=MOST, people=people, before=asked.before)
        columns = _listed(found, asked, total, people)
    if asked.field in time_fields.FIELDS:
        looked = looked_by(query, filters, (asked.field,), made_at)
        said = [LOOKED[looked_of(looked, (str(group.value),), group.count)] for group in found.rows]
        columns.append(("Feed hours", pa.string(), said))
    batch = pa.RecordBatch.from_pydict({title: pa.array(values, kind) for title, kind, values in columns})
    grouped = asked.says + (f"; the first {len(found.rows):,} of {found.number:,} groups" if found.more else "")
    covered = coverage_of(query, filters, made_at)
    about = About(filters, query.snapshot, made_at, batch.num_rows, covered, query.is_masked, grouped, layout)
    write_whole(target, batch.schema, [batch], on_rows, lambda _: about)
    return about


Column = tuple[str, pa.DataType, list[Any]]


def _listed(found: Ranked, asked: GroupsAsked, total: int, people: bool) -> list[Column]:
    rows = found.rows
    columns: list[Column] = [
        (asked.titles[0], pa.string(), [_text(group.value) for group in rows]),
        ("Events", pa.int64(), [group.count for group in rows]),
        ("SUCCESS", pa.int64(), [group.success for group in rows]),
        ("FAILURE", pa.int64(), [group.failure for group in rows]),
        ("Share (%)", pa.float64(), [_percent(group.count, total) for group in rows]),
        ("Failure rate (%)", pa.float64(), [_percent(group.failure, group.count) for group in rows]),
    ]
    if people:
        columns.append(("People", pa.int64(), [group.people for group in rows]))
    if asked.before:
        columns.append(("Before", pa.int64(), [group.before for group in rows]))
        columns.append(("Change", pa.int64(), [group.change for group in rows]))
    return columns


def _crossed(table: Cross, asked: GroupsAsked, total: int) -> list[Column]:
    def numbers(groups: list[Group | None]) -> list[Any]:
        nothing = Group(None, 0, 0, 0, 0)
        return [_measured(group or nothing, asked.measure, total) for group in groups]

    kind = pa.float64() if asked.measure in ("share", "failure_rate") else pa.int64()
    rows = table.rows.rows
    named = [value_text(column.value) for column in table.columns.rows]
    titles: list[str] = []
    for place, name in enumerate(named):
        # Blank texts of several lengths, and long ones with one beginning, are named alike.
        title = f"{asked.titles[1]}: {name}"
        titles.append(f"{title} ({place + 1})" if title in titles else title)
    columns: list[Column] = [(asked.titles[0], pa.string(), [_text(group.value) for group in rows])]
    places = [*range(len(named)), *([-1] if table.columns.number > len(named) else [])]
    for title, place in zip([*titles, "All others"], places, strict=False):
        columns.append((title, kind, numbers([table.cells.get((row, place)) for row in range(len(rows))])))
    return [*columns, ("All", kind, numbers(list(rows)))]


def _measured(group: Group, measure: str, total: int) -> float | int | None:
    if measure == "share":
        return _percent(group.count, total)
    if measure == "failure_rate":
        return _percent(group.failure, group.count)
    number: int | None = getattr(group, measure)
    return number


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0


def _text(value: Value) -> str | None:
    return None if value is None else whole_text(value)
