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
from activity_audit.report.export.layout import AS_EVER, Layout
from activity_audit.report.export.typeset import FAMILIES, readable, typeset
from activity_audit.report.queries.orders import FIELDS, NEWEST
from activity_audit.report.texts import cell_text, count_text, hour_text, time_text, value_text
from activity_audit.report.titles import TITLES
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.masked import FIELDS as MASKED

if TYPE_CHECKING:
    from activity_audit.report.queries.charts import Point
    from activity_audit.report.queries.groups import Group
    from activity_audit.report.queries.warehouse import Query

SUFFIX = ".pdf"
# That takes the typesetter 0.9 GB.
MOST_ROWS = 5_000
_TITLE = "Activity Audit report"
_TOPS = {"entity": "Top entities", "activity": "Top activities", "triggered_by": "Top users and automations"}
_TOP = 10
_WIDTHS = dict(zip(FIELDS, (32, 43, 40, 24, 30, 26, 15, 24, 41), strict=True))
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


def collect(query: Query, filters: Filters, made_at: datetime, layout: Layout = AS_EVER) -> PdfReport:
    """Ask for all that the PDF of these filters says, with the first `MOST_ROWS` events in the order of the layout.

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
    rows = events.page(query, filters, layout.order, limit=MOST_ROWS).rows
    places = [FIELDS.index(field) for field in layout.columns]
    cells = [[_cell(row[place]) for place in places] for row in rows]
    total = sum(group.count for group in outcomes)
    covered = coverage_of(query, filters, made_at)
    about = About(filters, query.snapshot, made_at, len(rows), covered, query.is_masked, layout=layout)
    which = "newest" if layout.order == NEWEST else "first"
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
        "link": layout.link or "",
        "link-text": readable(layout.link or ""),
        "total": count_text(total),
        "events": total,
        "outcomes": [_group(group, total) for group in outcomes],
        "unit": unit,
        "chart": _chart(points, unit),
        "tops": [[title, [_group(group, total) for group in tops[field]]] for field, title in shown.items()],
        "columns": [TITLES[field] for field in layout.columns],
        "widths": [_WIDTHS[field] for field in layout.columns],
        "rows": cells,
        "listed": f"the {which} {count_text(len(rows))} of {count_text(total)}" if len(rows) < total else "all",
        "order": f"{layout.order_text[:1].upper()}{layout.order_text[1:]}.",
        "rest": _said_rest(total - len(rows), layout),
        "cut": _said_cut(cells),
    }
    return PdfReport(about, content)


def _said_rest(missing: int, layout: Layout) -> str:
    if not missing:
        return ""
    events = f"{count_text(missing)} {'older' if layout.order == NEWEST else 'more'} events"
    return f"{events} are counted above and not listed; the other formats have every event."


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


def _said_cut(cells: Sequence[Sequence[str]]) -> str:
    cut = sum(text.endswith(_CUT) for row in cells for text in row)
    if not cut:
        return ""
    return (
        f"{count_text(cut)} {'cell was' if cut == 1 else 'cells were'} cut to {_LONGEST_CELL} characters; "
        "the other formats have the whole text."
    )
