"""From names as a person types them to the spellings that the warehouse has; case, spacing, punctuation and `&`
against `and` make no difference."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import duckdb

from activity_audit.base import catalogue
from activity_audit.base.catalogue import normalised_name


class UnknownNameError(ValueError):
    """No event and no catalogue has the name; the message says which are alike."""


def applications(connection: duckdb.DuckDBPyConnection, names: Iterable[str]) -> tuple[str, ...]:
    """The applications of these names, display names, aliases or slugs, as `fact_activity_event` has them.

    Raises:
        UnknownNameError: naming the first that neither the catalogue nor an event has.
    """
    rows = connection.execute("select application, display_name, slug from audit.main.dim_application").fetchall()
    by_slug = {slug: application for application, _, slug in rows if slug}
    known: dict[str, list[str]] = {}
    for row in rows:
        for key in {normalised_name(shown) for shown in row if shown}:
            known.setdefault(key, []).append(row[0])
    found: dict[str, None] = {}
    for name in names:
        documented = by_slug.get(catalogue.slug_of(name) or "")
        found |= dict.fromkeys([documented] if documented else _spellings_of(name, "application", known))
    return tuple(found)


def spellings(connection: duckdb.DuckDBPyConnection, field: str, names: Iterable[str]) -> tuple[str, ...]:
    """Every spelling that events have of these names, the one that the warehouse shows first.

    `field` is `entity` or `activity`.

    Raises:
        UnknownNameError: naming the first that neither the catalogue nor an event has.
    """
    asked = list(names)
    if not asked:
        return ()
    rows = connection.execute(f"""
        select {field}, bool_or(is_label)
        from (
            select {field}, false as is_label from audit.main.agg_activity_hourly group by all
            union all
            select {field}, true from audit.main.dim_entity_activity where {field} is not null
        )
        group by all order by 2 desc, 1
    """).fetchall()
    known: dict[str, list[str]] = {}
    for spelling, _ in rows:
        known.setdefault(normalised_name(spelling), []).append(spelling)
    return tuple(dict.fromkeys(spelling for name in asked for spelling in _spellings_of(name, field, known)))


def _spellings_of(name: str, kind: str, known: dict[str, list[str]]) -> list[str]:
    if found := known.get(normalised_name(name)):
        return found
    like = difflib.get_close_matches(normalised_name(name), known, n=3)
    hint = f"; did you mean {' or '.join(repr(known[key][0]) for key in like)}?" if like else ""
    raise UnknownNameError(f"no {kind} has the name {name!r}, neither in the catalogue nor in an event{hint}")
