"""PDF: what one reads and hands on of a report: what it is about, counts, charts as vectors, and its first rows.

The typesetter is given data, never text that it would take for its own language.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activity_audit.report import time_fields
from activity_audit.report.bars import chart, percent
from activity_audit.report.export.about import COMPLETENESS, About
from activity_audit.report.export.typeset import FAMILIES, readable, typeset
from activity_audit.report.texts import cell_text, count_text, hour_text, time_text, value_text
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.masked import FIELDS as MASKED

if TYPE_CHECKING:
    from activity_audit.report.queries.charts import Point
    from activity_audit.report.queries.groups import Group
    from activity_audit.report.queries.warehouse import Query

SUFFIX = ".pdf"
MOST_ROWS = 500
_TITLE = "Activity Audit report"
_TOPS = {"entity": "Top entities", "activity": "Top activities", "triggered_by": "Top users and automations"}
_TOP = 10
_LONGEST_CELL = 300
_CUT = "… [cut]"


@dataclass(frozen=True)
class PdfReport:
    """What a PDF says: what it is `about`, whose rows are those that stand in it, and what the template is given."""

    about: About
    content: dict[str, Any]

    def write(self, target: Path, check: Callable[[], None] = lambda: None) -> None:
        """Set it and write it to `target`, whose folder exists; `check` is called meanwhile and may end it by raising.

        Raises:
            OSError: if the file cannot be written.
        """
        target.write_bytes(typeset(self.content, self.about.made_at, check))


def collect(query: Query, filters: Filters, made_at: datetime) -> PdfReport:
    """Ask for all that the PDF of these filters says, with the newest `MOST_ROWS` events.

    Raises:
        QueryStoppedError: if the query is stopped.
    """
    from activity_audit.report.queries import charts, events
    from activity_audit.report.queries.coverage import coverage_of
    from activity_audit.report.queries.groups import groups
    from activity_audit.report.queries.trust import known

    # Whether the data are too old is for who reads the report now, and not for who opens the file next year.
    state = known(query)
    outcomes = groups(query, filters, ("outcome",))
    unit, points = charts.unit_of(filters.end - filters.start), charts.looked_over_time(query, filters, made_at)
    shown = {field: title for field, title in _TOPS.items() if not (query.is_masked and field in MASKED)}
    tops = {field: charts.top(query, filters, field, _TOP) for field in shown}
    rows = events.page(query, filters, events.Order(), limit=MOST_ROWS).rows
    cells = [[_cell(value) for value in row] for row in rows]
    total = sum(group.count for group in outcomes)
    about = About(filters, query.snapshot, made_at, len(rows), coverage_of(query, filters, made_at), query.is_masked)
    facts = about.as_texts()
    content = {
        "title": _TITLE,
        "families": FAMILIES,
        "period": f"{time_text(filters.start)} to {time_text(filters.end)} UTC, the end not included",
        "state": [
            f"Data through {hour_text(state.data_through)} UTC",
            f"Refreshed {hour_text(state.refreshed_at)} UTC",
            f"Snapshot {facts['Snapshot']}",
            f"Feed hours: {facts[COMPLETENESS]}",
        ],
        "facts": [
            [name, readable(text)] for name, text in facts.items() if name not in ("Report", "Rows", COMPLETENESS)
        ],
        "total": count_text(total),
        "events": total,
        "outcomes": [_group(group, total) for group in outcomes],
        "unit": unit,
        "chart": _chart(points, unit),
        "tops": [[title, [_group(group, total) for group in tops[field]]] for field, title in shown.items()],
        "columns": [column.title for column in COLUMNS],
        "rows": cells,
        "listed": f"the newest {count_text(len(rows))} of {count_text(total)}" if len(rows) < total else "all",
        "rest": _said_rest(total - len(rows)),
        "cut": _said_cut(cells),
    }
    return PdfReport(about, content)


def _chart(points: Sequence[Point], unit: str) -> dict[str, Any]:
    labels = [time_fields.short_title(unit, time_fields.value(unit, point.at)) for point in points]
    series = [[point.success for point in points], [point.failure for point in points]]
    drawn = asdict(chart("stacked", labels, series, [point.looked for point in points]))
    return drawn | {"ticks": [tick | {"value": count_text(tick["value"])} for tick in drawn["ticks"]]}


def _group(group: Group, total: int) -> dict[str, Any]:
    shown = {"value": _cell(value_text(group.value)), "events": count_text(group.count)}
    shown["percent"] = percent(group.count, total)
    return shown | {"failures": count_text(group.failure), "success": group.success, "failure": group.failure}


def _cell(value: Any) -> str:
    text = cell_text(value)
    if text is None:
        return "—"
    return readable(text if len(text) <= _LONGEST_CELL else text[:_LONGEST_CELL] + _CUT)


def _said_rest(missing: int) -> str:
    if not missing:
        return ""
    return f"{count_text(missing)} older events are counted above and not listed; the other formats have every event."


def _said_cut(cells: Sequence[Sequence[str]]) -> str:
    cut = sum(text.endswith(_CUT) for row in cells for text in row)
    if not cut:
        return ""
    return (
        f"{count_text(cut)} {'cell was' if cut == 1 else 'cells were'} cut to {_LONGEST_CELL} characters; "
        "the other formats have the whole text."
    )
