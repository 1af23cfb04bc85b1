"""How many events of each kind a period has: asked once, and counted up for every list, group and total of a page.

A kind is a combination of application, entity, activity and outcome. There are some hundreds of them, so what a page
says of them is counted up in less time than DuckDB takes to plan a statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from activity_audit.report.queries.counts import cells
from activity_audit.report.queries.warehouse import Query, remembered
from activity_audit.warehouse.events.filters import AGGREGATED, CHOICES, Filters
from activity_audit.warehouse.events.long_texts import Value, short

# More kinds are no names of a catalogue any more; DuckDB counts them up.
_MOST = 20_000
# So many kinds take the memory of a row of another answer.
_LIKE_A_ROW = 10


@dataclass(frozen=True)
class _Period:
    """The kinds that a period has: of each field the values, and which of them each kind has; and their events."""

    values: Mapping[str, list[str]]
    places: Mapping[str, NDArray[np.intp]]
    events: NDArray[np.int64]

    @property
    def weight(self) -> int:
        """How many rows of other answers take as much memory."""
        return 1 + len(self.events) // _LIKE_A_ROW

    def having(self, field: str, chosen: tuple[Value, ...]) -> NDArray[np.bool_]:
        """Which kinds have one of these values. None has None: every event has a value."""
        wanted = frozenset(chosen)
        known = [value in wanted or short(value) in wanted for value in self.values[field]]
        return np.array(known, bool)[self.places[field]]


@dataclass(frozen=True)
class KindCounts:
    """Events by their kind: those of a period that filters keep."""

    _period: _Period
    _events: NDArray[np.int64]

    @property
    def total(self) -> int:
        """How many events there are."""
        return int(self._events.sum())

    def by(self, field: str) -> list[tuple[str, int]]:
        """The values that events have, and how many have each; the most first, of the same number by value."""
        values = self._period.values[field]
        counts = np.bincount(self._period.places[field], self._events, len(values)).astype(int).tolist()
        found = [(value, n) for value, n in zip(values, counts, strict=True) if n]
        return sorted(found, key=lambda one: (-one[1], one[0]))

    def of(self, field: str, value: Value) -> KindCounts:
        """Those that have this value."""
        return KindCounts(self._period, self._events * self._period.having(field, (value,)))


def kind_counts(query: Query, filters: Filters, *, reading: bool = False) -> KindCounts | None:
    """The events that the filters keep, by kind; None if there are too many kinds.

    None also if the filters look at more than kinds have, unless the events may be read for it (`reading`).
    The filters are spelled, and so have the label of every name that they choose.
    """
    if not (reading or filters.fields.issubset(AGGREGATED)):
        return None
    period = _period(query, _of_others(filters))
    if period is None:
        return None
    events = period.events
    for field in AGGREGATED:
        if chosen := getattr(filters, CHOICES[field]):
            events = events * period.having(field, chosen)
    for field in AGGREGATED:
        if excluded := tuple(value for name, value in filters.excluded if name == field):
            events = events * ~period.having(field, excluded)
    return KindCounts(period, events)


def events_read(query: Query, filters: Filters) -> int:
    """About how many events are read to count those that the filters keep by kind."""
    return cells(query, _of_others(filters), AGGREGATED).reads


def _of_others(filters: Filters) -> Filters:
    """What the filters say but for the names that are chosen or excluded, which are found in every kind."""
    return filters.unchosen(AGGREGATED)


@remembered
def _period(query: Query, filters: Filters) -> _Period | None:
    sql, bound, reads = cells(query, filters, AGGREGATED)
    rows = query.rows(
        f"select {', '.join(AGGREGATED)}, cast(sum(n) as bigint) from ({sql}) group by all limit {_MOST + 1}",
        bound,
        reads=reads,
    )
    if len(rows) > _MOST:
        return None
    *named, events = zip(*rows, strict=True) if rows else ((),) * (len(AGGREGATED) + 1)
    fields = {field: _places(column) for field, column in zip(AGGREGATED, named, strict=True)}
    return _Period(
        {field: values for field, (values, _) in fields.items()},
        {field: places for field, (_, places) in fields.items()},
        np.array(events, np.int64),
    )


def _places(column: tuple[Any, ...]) -> tuple[list[str], NDArray[np.intp]]:
    """The values of a column in order, and the place of each row's among them."""
    values = sorted(set(column))
    place = {value: number for number, value in enumerate(values)}
    return values, np.array([place[value] for value in column], np.intp)
