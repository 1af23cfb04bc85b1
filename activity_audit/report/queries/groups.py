"""Events in groups: how many there are of each value of a field, and inside one of them of the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from activity_audit.base.vocabulary import OUTCOMES
from activity_audit.report import time_fields
from activity_audit.report.queries.counts import cells
from activity_audit.report.queries.kinds import KindCounts, kind_counts
from activity_audit.report.queries.measures import MEASURES, NUMBERS, measured_cells
from activity_audit.report.queries.orders import folded
from activity_audit.report.queries.warehouse import Query, remembered
from activity_audit.warehouse.events.filters import AGGREGATED, NAMES, Filters, choice
from activity_audit.warehouse.events.long_texts import Digest, NoSuchTextError, Value

FIELDS = ("application", "entity", "activity", "outcome", "triggered_by", "instance", "comments", *time_fields.FIELDS)
MOST_LEVELS = 3
ORDERS = ("value", *MEASURES)
# So many units of time are all shown, those without an event too.
MOST_UNITS = 2000


@dataclass(frozen=True)
class Group:
    """A value of a field, None where events have none, and how many events have it, by outcome.

    `people` is how many different names triggered them, and `before` how many there were in the period before; None
    where that was not asked for.
    """

    value: Value
    count: int
    success: int
    failure: int
    people: int | None = None
    before: int | None = None

    @property
    def failure_rate(self) -> float:
        """The share of failures."""
        return self.failure / self.count if self.count else 0.0

    @property
    def change(self) -> int:
        """How many more there are than before."""
        return self.count - (self.before or 0)


class GroupOrder(NamedTuple):
    """By one of `ORDERS`; groups that are the same by it are in the order of their values, nulls last."""

    by: str = "count"
    descending: bool = True


LARGEST = GroupOrder()


class Ranked(NamedTuple):
    """Groups in an order, how many there are in all, and whether more of them follow."""

    rows: list[Group]
    number: int
    more: bool = False


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
        fields: one to three fields of `FIELDS`, the outermost first.
        path: the values of the outer groups that are open; it is shorter than `fields`.
        limit: at most so many groups.
        after: the last group that is known already; those behind it follow.

    Raises:
        NoSuchTextError: if the last group is a long text that no event has any more.
        ValueError: if the fields cannot be grouped by, or the path does not fit them.
    """
    if not 1 <= len(fields) <= MOST_LEVELS or len(set(fields)) < len(fields):
        raise ValueError(f"events are grouped by one to {MOST_LEVELS} different fields, not by {', '.join(fields)}")
    if len(path) >= len(fields):
        raise ValueError("all levels of the groups are open; what follows are events")
    inside: Filters | None = query.labels.spelled(filters)
    for field, value in zip(fields, path, strict=False):
        inside = inside and _opened(query, inside, field, value)
    return ranked(query, inside, fields[len(path)], limit=limit, after=after).rows if inside else []


@remembered
def ranked(
    query: Query,
    filters: Filters,
    field: str,
    order: GroupOrder = LARGEST,
    *,
    limit: int = 200,
    after: Group | None = None,
    people: bool = False,
    before: Filters | None = None,
) -> Ranked:
    """The groups of a field in an order.

    Args:
        query: where to ask.
        filters: which events.
        field: one of `FIELDS`. Up to `MOST_UNITS` units of time are all there, those without an event too.
        order: which come first.
        limit: at most so many groups.
        after: the last group that is known already; those behind it follow.
        people: whether different people are counted.
        before: the filters of the period before, of the same length, if it is compared with.

    Raises:
        NoSuchTextError: if the last group is a long text that no event has any more.
        ValueError: if events cannot be grouped by the field, or there is no such order.
    """
    if field not in FIELDS:
        raise ValueError(f"events cannot be grouped by {field!r}, only by {', '.join(FIELDS)}")
    if order.by not in ORDERS:
        raise ValueError(f"groups cannot be sorted by {order.by!r}, only by {', '.join(ORDERS)}")
    filters = query.labels.spelled(filters)
    before = query.labels.spelled(before) if before else None
    if after is not None and isinstance(after.value, Digest):
        after = replace(after, value=_found(query, filters, field, after.value))
    if field in time_fields.FIELDS:
        values = time_fields.values(field, filters, MOST_UNITS)
        if values is not None:
            every = _of_sql(query, filters, field, GroupOrder("value", False), 2 * MOST_UNITS, None, people, before)
            known = {group.value: group for group in every.rows}
            if before and field in time_fields.UNITS:
                # Of chosen weekdays or hours, those before may lie on others.
                values = sorted({*values, *(str(value) for value in known)})
            nothing = {"people": 0 if people else None, "before": 0 if before else None}
            filled = [known.get(value) or Group(value, 0, 0, 0, **nothing) for value in values]
            return _cut(filled, order, limit, after, {value: place for place, value in enumerate(values)})
    if field in AGGREGATED and not people and order.by != "value" and (kinds := kind_counts(query, filters)):
        was = kind_counts(query, before) if before else None
        if was or not before:
            return _cut(_of_kinds(kinds, was, field), order, limit, after, {})
    return _of_sql(query, filters, field, order, limit, after, people, before)


def _opened(query: Query, filters: Filters, field: str, value: Value) -> Filters | None:
    """The filters in an open group; None if they keep nothing of it."""
    if field in time_fields.UNITS:
        begin, end = time_fields.span(field, str(value))
        start, stop = max(filters.start, begin), min(filters.end, end)
        return replace(filters, start=start, end=stop) if start < stop else None
    spelled: tuple[Value, ...] = query.labels.spellings(field, value) if field in NAMES else (value,)
    said: dict[str, Any] = {choice(field): spelled}
    if chosen := getattr(filters, choice(field)):
        said = {choice(field): tuple(one for one in spelled if one in chosen)}
    return replace(filters, **said) if said[choice(field)] else None


def _found(query: Query, filters: Filters, field: str, value: Digest) -> str:
    """The text of the field that has this digest."""
    sql, bound, reads = cells(query, filters, (field,))
    where = f"select {field} from ({sql}) where sha256({field}) = ? limit 1"
    rows = query.rows(where, [*bound, value.sha256], reads=reads)
    if not rows:
        raise NoSuchTextError
    return str(rows[0][0])


def _of_kinds(kinds: KindCounts, was: KindCounts | None, field: str) -> list[Group]:
    success, failure = (dict(kinds.of("outcome", outcome).by(field)) for outcome in OUTCOMES)
    count, before = dict(kinds.by(field)), dict(was.by(field)) if was else {}
    return [
        Group(
            one, count.get(one, 0), success.get(one, 0), failure.get(one, 0), None, before.get(one, 0) if was else None
        )
        for one in dict.fromkeys([*count, *before])
    ]


def _cut(found: list[Group], order: GroupOrder, limit: int, after: Group | None, places: dict[str, int]) -> Ranked:
    """So many of the groups in their order; `places` are those of values that are not sorted as texts."""

    def place(group: Group) -> tuple[Any, ...]:
        value = (group.value is None, places.get(str(group.value), 0), str(group.value or ""))
        if order.by == "value":
            return (-value[1],) if order.descending else value
        measure = getattr(group, order.by) or 0
        return (-measure if order.descending else measure, *value)

    behind = [group for group in found if after is None or place(group) > place(after)]
    return Ranked(sorted(behind, key=place)[:limit], len(found), len(behind) > limit)


def _of_sql(
    query: Query,
    filters: Filters,
    field: str,
    order: GroupOrder,
    limit: int,
    after: Group | None,
    people: bool,
    before: Filters | None,
) -> Ranked:
    sql, bound, reads = measured_cells(query, filters, (field,), people=people, before=before)
    by, direction = _term(field, order)
    where, more = _after(field, order, after) if after else ("true", [])
    rows = query.rows(
        f"with grouped as materialized (select value_0 as value, {NUMBERS} from ({sql}) group by value_0) "
        f"select *, (select count(*) from grouped) from grouped where {where} "
        f"order by {by} {direction} nulls last, value nulls last limit {int(limit) + 1}",
        [*bound, *more],
        reads=reads,
    )
    found = [
        Group(
            time_fields.value(field, value) if field in time_fields.FIELDS else value,
            total,
            success,
            failure,
            names if people else None,
            was if before else None,
        )
        for value, total, success, failure, names, was, _ in rows[:limit]
    ]
    return Ranked(found, rows[0][-1] if rows else 0, len(rows) > limit)


def _term(field: str, order: GroupOrder) -> tuple[str, str]:
    """The SQL of what groups are sorted by, and its direction."""
    by = MEASURES[order.by] if order.by in MEASURES else "value" if field in time_fields.FIELDS else folded("value")
    return by, "desc" if order.descending else "asc"


def _after(field: str, order: GroupOrder, last: Group) -> tuple[str, list[Any]]:
    """The condition on the groups behind the last one."""
    by, _ = _term(field, order)
    sign = "<" if order.descending else ">"
    value: Any = last.value
    if order.by in MEASURES:
        measure = getattr(last, order.by) or 0
        if value is None:
            return f"{by} {sign} ?", [measure]
        if field in time_fields.FIELDS:
            value = time_fields.found(field, str(value))
        return f"{by} {sign} ? or ({by} = ? and (value > ? or value is null))", [measure, measure, value]
    if value is None:
        return "false", []
    if field in time_fields.FIELDS:
        return f"value {sign} ?", [time_fields.found(field, str(value))]
    same = folded("?")
    return f"{by} {sign} {same} or ({by} = {same} and value > ?) or value is null", [value, value, value]
