"""The values that a filter offers: those that events have, in the period and under all of the other filters."""

from __future__ import annotations

from dataclasses import dataclass

from activity_audit.base.catalogue import normalised_name
from activity_audit.report.queries.counts import cells, has_counts
from activity_audit.report.queries.kinds import events_read, kind_counts
from activity_audit.report.queries.query import MANY
from activity_audit.report.queries.rollups import MOST_INSTANCES
from activity_audit.report.queries.warehouse import Query, remembered
from activity_audit.warehouse import observed_names
from activity_audit.warehouse.events.filters import AGGREGATED, NAMES, Filters

FIELDS = ("application", "entity", "activity", "outcome", "triggered_by", "instance")
MOST_APPLICATIONS = 200


@dataclass(frozen=True)
class Value:
    """A value of a field, None where events have none, and how many events have it."""

    value: str | None
    count: int


@remembered
def values(query: Query, filters: Filters, field: str, search: str = "", limit: int = 200) -> list[Value]:
    """The values of a field that contain `search`, in upper or lower case, those of the most events first.

    A name is also found by any of its spellings: they are one by the catalogue's key.

    Every list is counted under everything that is chosen or excluded by the other fields, and by none of its own.

    Raises:
        ValueError: if there is no list for the field.
    """
    if field not in FIELDS:
        raise ValueError(f"there is no list of {field!r}, only of {', '.join(FIELDS)}")
    filters = query.labels.spelled(filters.without(field))
    if field in AGGREGATED and not search:
        kinds = kind_counts(query, filters, reading=_reading(query, filters, field))
        if kinds:
            return [Value(*row) for row in kinds.by(field)[:limit]]
    known = query.instances
    if field == "instance" and not search and limit <= MOST_INSTANCES and known and known.are_of(filters):
        return [Value(*row) for row in known.most[:limit]]
    sql, bound, reads = cells(query, filters, (field,))
    conditions = {f"contains(lower({field}), lower(?))": search} if search else {}
    if field in NAMES and (key := normalised_name(search)):
        conditions[f"contains({observed_names.name_key(field)}, ?)"] = key
    where = f"where {' or '.join(conditions)}" if conditions else ""
    rows = query.rows(
        f"select {field}, cast(sum(n) as bigint) as n from ({sql}) {where} group by all "
        f"order by n desc, {field} nulls last limit {int(limit)}",
        [*bound, *conditions.values()],
        reads=reads,
    )
    return [Value(*row) for row in rows]


def is_quick(query: Query, filters: Filters, field: str) -> bool:
    """Whether the list is counted without reading much of the history."""
    filters = filters.without(field)
    if field in AGGREGATED:
        return not _reading(query, filters, field) or events_read(query, filters) <= MANY
    return cells(query, filters, (field,)).reads <= MANY


def _reading(query: Query, filters: Filters, field: str) -> bool:
    """Whether events must be read; then one reading serves the lists of all fields that kinds have."""
    return not has_counts(query, {*filters.fields, field})


@dataclass(frozen=True)
class Application:
    """An application as the warehouse has it, and the name that people know."""

    application: str
    display_name: str
    is_documented: bool

    @property
    def title(self) -> str:
        """Both names, as the document writes them, or the one where they are the same."""
        if self.application == self.display_name:
            return self.application
        return f"{self.application} ({self.display_name})"


@remembered
def applications(query: Query, limit: int = MOST_APPLICATIONS) -> list[Application]:
    """The prompt's applications, the documented ones first, then what was seen beside them; each by name.

    There are `limit` at most: events may name any number of applications, and every page has the prompt.
    """
    # Another spelling of one that is listed is listed with it.
    odd = list(query.labels.odd.get("application", ()))
    rows = query.rows(
        "select application, display_name, in_report_prompt from audit.main.dim_application "
        "where (in_report_prompt or last_event_time_utc is not null) and not list_contains(?, application) "
        f"order by in_report_prompt desc, lower(application), application limit {int(limit)}",
        [odd],
    )
    return [Application(*row) for row in rows]
