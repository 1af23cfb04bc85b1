"""The values that a filter offers: only those with an event in the period, under what is chosen before them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from report.filters import AGGREGATED, CHOICES, Filters
from report.queries.counts import cells
from report.queries.instances import MOST
from report.queries.kinds import kind_counts
from report.queries.warehouse import Query, remembered

# The prompt and the two lists that depend on it; what comes later in a chain does not narrow what comes before.
_CHAIN = ("application", "entity", "activity")
FIELDS = ("application", "entity", "activity", "outcome", "triggered_by", "instance")


@dataclass(frozen=True)
class Value:
    """A value of a field, None where events have none, and how many events have it."""

    value: str | None
    count: int


@remembered
def values(query: Query, filters: Filters, field: str, search: str = "", limit: int = 200) -> list[Value]:
    """The values of a field that contain `search`, in upper or lower case, those of the most events first.

    Applications depend on the period; entities on the applications too, activities on both. The other fields depend
    on everything else that is chosen.

    Raises:
        ValueError: if there is no list for the field.
    """
    if field not in FIELDS:
        raise ValueError(f"there is no list of {field!r}, only of {', '.join(FIELDS)}")
    filters = depends_on(filters, field)
    if field in AGGREGATED and not search and (kinds := kind_counts(query, filters)):
        return [Value(*row) for row in kinds.by(field)[:limit]]
    known = query.instances
    if field == "instance" and not search and limit <= MOST and known and known.are_of(filters):
        return [Value(*row) for row in known.most[:limit]]
    sql, bound, reads = cells(query, filters, (field,))
    where = f"where contains(lower({field}), lower(?))" if search else ""
    rows = query.rows(
        f"select {field}, cast(sum(n) as bigint) as n from ({sql}) {where} group by all "
        f"order by n desc, {field} nulls last limit {int(limit)}",
        [*bound, search] if search else bound,
        reads=reads,
    )
    return [Value(*row) for row in rows]


def depends_on(filters: Filters, field: str) -> Filters:
    """The filters under which the values of a field are listed."""
    if field not in _CHAIN:
        return filters.without(field)
    earlier = _CHAIN[: _CHAIN.index(field)]
    kept = tuple((name, value) for name, value in filters.excluded if name in earlier)
    chosen = {CHOICES[name]: getattr(filters, CHOICES[name]) for name in earlier}
    return replace(Filters(filters.start, filters.end, **chosen), excluded=kept)
