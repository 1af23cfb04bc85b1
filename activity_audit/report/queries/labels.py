"""The one label that a name has in the report, and the spellings that events have of it.

Names are matched by the catalogue's key, so that `Chat`, `CHAT` and `chat` are one name. Its label is the catalogue's
spelling; else the one that most events have, of the same number the smallest. Lists, groups and pictures show labels.
An event keeps its spelling, and conditions compare that: so whoever asks has the filters `spelled` first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import duckdb

from activity_audit.base.catalogue import application_of, normalised_name
from activity_audit.report.queries.rollups import COUNTS, HOURLY, KIND
from activity_audit.warehouse import observed_names
from activity_audit.warehouse.events.filters import CHOICES, NAMES, Filters
from activity_audit.warehouse.events.long_texts import Value, short

_LABEL = f"{COUNTS}.main.label"
# What a reader's links name is looked up once; more values than these are no names that people choose.
_MOST_KNOWN = 10_000


class Labels:
    """Those of one snapshot; any thread may use it.

    `odd` has, by field, the label of every spelling that is another than its label. It is empty in most warehouses,
    and then nothing is done for it.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        """The connection has the tables that `build` makes."""
        self._connection = connection
        self._known: dict[tuple[str, Value], Value] = {}
        self._spellings: dict[tuple[str, Value], tuple[Value, ...]] = {}
        self.odd: dict[str, dict[str, str]] = {}
        rows = connection.execute(f"select field, spelling, label from {_LABEL} where spelling <> label order by all")
        for field, spelling, label in rows.fetchall():
            self.odd.setdefault(field, {})[spelling] = label
            name = (field, short(label))
            self._spellings[name] = (*self._spellings.get(name, (short(label),)), short(spelling))
        self._labels = {
            (field, spelling): spellings[0]
            for (field, _), spellings in self._spellings.items()
            for spelling in spellings
        }

    def of(self, field: str, value: Value) -> Value:
        """The label of a value of the field; what is no known name is its own label."""
        if field not in NAMES:
            return value
        value = short(value)
        label = self._labels.get((field, value)) or self._known.get((field, value))
        if not isinstance(value, str):
            return label or value
        if label is None:
            found = self._connection.cursor().execute(
                f"select label from {_LABEL} where field = ? and name_key = ? limit 1", [field, normalised_name(value)]
            )
            row = found.fetchone()
            label = short(row[0]) if row else _documented(field, value)
            if len(self._known) < _MOST_KNOWN:
                self._known[field, value] = label
        return label

    def spellings(self, field: str, value: Value) -> tuple[Value, ...]:
        """The label of the value, and then every other spelling that events have of it."""
        label = self.of(field, value)
        return self._spellings.get((field, label), (label,))

    def spelled(self, filters: Filters) -> Filters:
        """The filters with every spelling of the names that they choose or exclude."""
        fields = filters.fields.intersection(NAMES)
        if not fields:
            return filters
        said: dict[str, Any] = {
            CHOICES[field]: _unique(one for value in chosen for one in self.spellings(field, value))
            for field in fields
            if (chosen := getattr(filters, CHOICES[field]))
        }
        excluded = _unique((field, one) for field, value in filters.excluded for one in self.spellings(field, value))
        return replace(filters, excluded=excluded, **said)


def build(connection: duckdb.DuckDBPyConnection) -> None:
    """Find the label of every name; the connection has one snapshot attached, and its roll-ups."""
    counted = f"""
        select {", ".join(NAMES)}, n as event_count
        from {KIND} inner join (select kind, sum(n) as n from {HOURLY} group by kind) using (kind)
    """
    connection.execute(f"""
        create table {_LABEL} as
        with
        spelling as (
            select *, false as is_documented from ({observed_names.rows_of(f"({counted})")})
            union all by name {observed_names.documented()}
        ),
        label as ({observed_names.labels("spelling")})
        select field, name_key, spelling, label
        from (select distinct field, spelling, {observed_names.name_key("spelling")} as name_key from spelling)
        inner join label using (field, name_key)
    """)


def _documented(field: str, value: str) -> str:
    """The name that events have of an application that is asked for by another of its names, as the exports take it."""
    return (application_of(value) if field == "application" else None) or value


def _unique(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))
