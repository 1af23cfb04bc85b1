"""The numbers that groups and cross tables show: events by outcome, different people, events of the period before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from activity_audit.base.hours import HOUR
from activity_audit.report import time_fields
from activity_audit.report.queries.counts import Cells, cells, together
from activity_audit.report.queries.warehouse import Query
from activity_audit.warehouse.events.filters import Filters

# By what a group is measured, as SQL of its numbers.
MEASURES = {
    "count": "total",
    "success": "success",
    "failure": "failure",
    "failure_rate": "coalesce(failure / nullif(total, 0), 0)",
    "people": "people",
    "before": "was",
    "change": "total - was",
}
# The numbers of a group of the rows that `measured_cells` has.
NUMBERS = (
    "cast(coalesce(sum(n), 0) as bigint) as total, "
    "cast(coalesce(sum(n) filter (outcome = 'SUCCESS'), 0) as bigint) as success, "
    "cast(coalesce(sum(n) filter (outcome = 'FAILURE'), 0) as bigint) as failure, "
    "count(distinct person) as people, "
    "cast(coalesce(sum(n_before), 0) as bigint) as was"
)
_DAY = timedelta(days=1)
# So many events are read for a page's numbers of people without being asked to.
_QUICK = 1_000_000


def measured_cells(
    query: Query, filters: Filters, fields: tuple[str, ...], *, people: bool = False, before: Filters | None = None
) -> Cells:
    """SQL of `value_0`, `value_1`, … of the fields, of the outcome, and of what `NUMBERS` sums up.

    Units of time of the period before are named after those of the period that they are compared with. The filters are
    spelled.
    """
    parts = [_part(query, filters, fields, people, timedelta())]
    if before:
        now = parts[0]
        was = _part(query, before, fields, False, filters.start - before.start)
        named = ", ".join(f"value_{place}" for place in range(len(fields)))
        parts = [
            Cells(f"select *, 0 as n_before from ({now.sql})", now.values, now.reads),
            Cells(
                f"select {named}, outcome, null as person, 0 as n, n as n_before from ({was.sql})",
                was.values,
                was.reads,
            ),
        ]
        return together(parts)
    return Cells(f"select *, 0 as n_before from ({parts[0].sql})", parts[0].values, parts[0].reads)


def people_are_quick(query: Query, filters: Filters, field: str) -> bool:
    """Whether different people are counted without reading much of the history."""
    return measured_cells(query, query.labels.spelled(filters), (field,), people=True).reads <= _QUICK


def the_period_before(filters: Filters) -> Filters | None:
    """The same of the period that ends where this one begins, and is as long; None if the calendar has none."""
    try:
        return replace(filters, start=filters.start - (filters.end - filters.start), end=filters.start)
    except OverflowError:
        return None


def _part(query: Query, filters: Filters, fields: tuple[str, ...], people: bool, shift: timedelta) -> Cells:
    columns = [field for field in fields if field not in time_fields.FIELDS]
    needed = dict.fromkeys([*columns, "outcome", *(["triggered_by"] if people else [])])
    grain = time_fields.grain(*fields)
    moved = set(fields).intersection(time_fields.UNITS) and shift
    if moved and shift % _DAY:
        grain = "hour"
    found = cells(query, filters, tuple(needed), by=grain)
    later = f"(begins + interval {shift // HOUR} hour)" if moved else "begins"
    values = [
        time_fields.sql(field, later if field in time_fields.UNITS else "begins")
        if field in time_fields.FIELDS
        else field
        for field in fields
    ]
    shown = ", ".join(f"{value} as value_{place}" for place, value in enumerate(values))
    person = "triggered_by" if people else "null"
    return found._replace(sql=f"select {shown}, outcome, {person} as person, n from ({found.sql})")
