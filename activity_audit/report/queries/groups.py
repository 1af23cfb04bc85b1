"""Events in groups: how many there are of each value of a field, and inside one of them of the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from activity_audit.base.vocabulary import OUTCOMES
from activity_audit.report.queries.counts import cells
from activity_audit.report.queries.kinds import KindCounts, kind_counts
from activity_audit.report.queries.warehouse import Query, remembered
from activity_audit.warehouse.events.filters import AGGREGATED, Filters
from activity_audit.warehouse.events.long_texts import Digest, NoSuchTextError, Value

FIELDS = ("application", "entity", "activity", "outcome", "triggered_by", "instance", "comments")
MOST_LEVELS = 3


@dataclass(frozen=True)
class Group:
    """A value of a field, None where events have none, and how many events have it, by outcome."""

    value: Value
    count: int
    success: int
    failure: int


@remembered
def groups(
    query: Query,
    filters: Filters,
    fields: tuple[str, ...],
    path: tuple[Value, ...] = (),
    limit: int = 200,
    after: Group | None = None,
) -> list[Group]:
    """The groups of one level, the largest first; of the same size by value, nulls last.

    Args:
        query: where to ask.
        filters: which events.
        fields: one to three fields of the fact, the outermost first.
        path: the values of the outer groups that are open; it is shorter than `fields`.
        limit: at most so many groups.
        after: the last group that is known already; those behind it follow.

    Raises:
        NoSuchTextError: if the last group is a long text that no event has any more.
        ValueError: if the fields cannot be grouped by, or the path does not fit them.
    """
    if not 1 <= len(fields) <= MOST_LEVELS or len(set(fields)) < len(fields):
        raise ValueError(f"events are grouped by one to {MOST_LEVELS} different fields, not by {', '.join(fields)}")
    for field in fields:
        if field not in FIELDS:
            raise ValueError(f"events cannot be grouped by {field!r}, only by {', '.join(FIELDS)}")
    if len(path) >= len(fields):
        raise ValueError("all levels of the groups are open; what follows are events")
    filters = query.labels.spelled(filters)
    outer = fields[: len(path)]
    path = tuple(query.labels.of(name, value) for name, value in zip(outer, path, strict=True))
    field = fields[len(path)]
    if after is not None and isinstance(after.value, Digest):
        after = replace(after, value=_found(query, filters, field, after.value))
    if {*outer, field}.issubset(AGGREGATED) and (kinds := kind_counts(query, filters)):
        return _of_kinds(kinds, field, dict(zip(outer, path, strict=True)), after)[:limit]
    needed = dict.fromkeys((*outer, field, "outcome"))
    sql, bound, reads = cells(query, filters, tuple(needed))
    conditions = [
        f"sha256({name}) = ?" if isinstance(value, Digest) else f"{name} is not distinct from ?"
        for name, value in zip(outer, path, strict=True)
    ]
    bound = [*bound, *(value.sha256 if isinstance(value, Digest) else value for value in path)]
    where = f"where {' and '.join(conditions)}" if conditions else ""
    having = ""
    if after is not None:
        having, more = _after(field, after)
        bound += more
    rows = query.rows(
        f"select {field}, cast(sum(n) as bigint) as total, "
        "cast(coalesce(sum(n) filter (outcome = 'SUCCESS'), 0) as bigint), "
        "cast(coalesce(sum(n) filter (outcome = 'FAILURE'), 0) as bigint) "
        f"from ({sql}) {where} group by {field} {having} order by total desc, {field} nulls last limit {int(limit)}",
        bound,
        reads=reads,
    )
    return [Group(*row) for row in rows]


def _found(query: Query, filters: Filters, field: str, value: Digest) -> str:
    """The text of the field that has this digest."""
    sql, bound, reads = cells(query, filters, (field,))
    where = f"select {field} from ({sql}) where sha256({field}) = ? limit 1"
    rows = query.rows(where, [*bound, value.sha256], reads=reads)
    if not rows:
        raise NoSuchTextError
    return str(rows[0][0])


def _of_kinds(kinds: KindCounts, field: str, path: dict[str, Value], after: Group | None) -> list[Group]:
    for name, value in path.items():
        kinds = kinds.of(name, value)
    success, failure = (dict(kinds.of("outcome", outcome).by(field)) for outcome in OUTCOMES)
    found = [Group(value, n, success.get(value, 0), failure.get(value, 0)) for value, n in kinds.by(field)]
    return [group for group in found if after is None or _place(group) > _place(after)]


def _place(group: Group) -> tuple[int, bool, str]:
    return -group.count, group.value is None, str(group.value or "")


def _after(field: str, last: Group) -> tuple[str, list[Any]]:
    if last.value is None:
        return "having total < ?", [last.count]
    return f"having total < ? or (total = ? and ({field} > ? or {field} is null))", [last.count, last.count, last.value]
