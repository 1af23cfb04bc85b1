"""What the report counts, held against the plain rows: kinds, lists, groups, and events over time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from activity_audit.base.hours import HOUR
from activity_audit.report.queries import charts, events, groups, kinds, lists
from activity_audit.report.queries.warehouse import Query, Warehouse
from activity_audit.settings.core import Settings
from activity_audit.warehouse.events.filters import AGGREGATED, Filters
from tests.integration.report_rows import FILTERS, RAGGED, WHOLE, by_outcome, kept_by, labelled
from tests.integration.support import until


@pytest.fixture
def home(varied_home: Settings) -> Settings:
    return varied_home


def prepared(warehouse: Warehouse) -> bool:
    """Whether all is known of the newest snapshot that is found out in the background."""
    with warehouse.query() as asked:
        return asked.is_prepared


def test_kinds_are_counted_up_as_duckdb_counts_them(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[tuple[str | None, ...]] = [(), ("Search",), ("Search", "SEARCH"), ("Search", None)]

    def said(asked: Query, filters: Filters) -> list[Any]:
        tree = [groups.groups(asked, filters, ("application", "entity", "activity"), path) for path in paths]
        rest = [
            groups.groups(asked, filters, ("application", "entity"), limit=9, after=one)
            for one in [
                *tree[0],
                groups.Group(None, 9, 9, 0),
                groups.Group("T", max([one.count for one in tree[0]], default=0), 1, 1),
            ]
        ]
        some = [lists.values(asked, filters, field, limit=2) for field in AGGREGATED]
        return [events.count(asked, filters), tree, rest, some]

    def said_of_each() -> list[list[Any]]:
        warehouse = Warehouse(home, remembered=0)
        try:
            with warehouse.query() as asked:
                return [said(asked, filters) for filters in (*FILTERS, RAGGED)]
        finally:
            warehouse.close()

    by_kind = said_of_each()
    monkeypatch.setattr(kinds, "_MOST", -1)
    for filters, expected, found in zip((*FILTERS, RAGGED), by_kind, said_of_each(), strict=True):
        assert found == expected, filters


def test_the_instances_of_everything_are_those_that_were_counted_before(
    home: Settings, rows: list[dict[str, Any]]
) -> None:
    warehouse = Warehouse(home, remembered=0)
    try:
        until(lambda: prepared(warehouse))
        with warehouse.query() as asked:
            known = asked.instances
            assert known is not None
            said = [lists.values(asked, WHOLE, "instance", limit=limit) for limit in (2, 200, 201)]
            less = Filters(known.start + HOUR, known.end)
            narrowed = lists.values(asked, less, "instance")
            asked.instances = None
            assert [lists.values(asked, WHOLE, "instance", limit=limit) for limit in (2, 200, 201)] == said
            asked.instances = replace(known, most=[("counted", 1)])
            for filters in (WHOLE, replace(WHOLE, start=known.start, end=known.end)):
                assert lists.values(asked, filters, "instance") == [lists.Value("counted", 1)]
            # Where less is asked for, or more values, the events are read.
            assert lists.values(asked, less, "instance") == narrowed
            assert lists.values(asked, WHOLE, "instance", limit=201) == said[2]
            assert lists.values(asked, WHOLE, "instance", "É") == [one for one in said[1] if one.value == "é"]
            assert lists.values(asked, replace(WHOLE, outcomes=("FAILURE",)), "instance") != said[1]
    finally:
        warehouse.close()
    assert {one.value: one.count for one in said[1]} == Counter(row["instance"] for row in rows)
    assert sum(one.count for one in narrowed) < len(rows)


_CHOSEN = Filters(RAGGED.start, RAGGED.end, applications=("Search",), entities=("SEARCH",), outcomes=("FAILURE",))
_LISTED = [
    _CHOSEN,
    replace(_CHOSEN, excluded=(("activity", "SEARCH"), ("triggered_by", None))),
    # What the roll-ups do not have, and what only the counts of people have.
    replace(_CHOSEN, comments="reviewed"),
    replace(RAGGED, instances=("1", None), outcomes=("FAILURE",)),
    replace(RAGGED, triggered_by=("zoë@x.example",), outcomes=("SUCCESS",)),
    replace(WHOLE, triggered_by=("zoë@x.example",)),
    replace(
        WHOLE, contains=(("entity", "se"), ("application", "s")), search="e", time_of_day=(time(8, 5), time(10, 20))
    ),
]


@pytest.mark.parametrize("chosen", _LISTED)
@pytest.mark.parametrize("field", lists.FIELDS)
def test_a_list_is_counted_under_all_filters_but_its_own(
    asked: Query, rows: list[dict[str, Any]], chosen: Filters, field: str
) -> None:
    kept = kept_by(rows, chosen.without(field))
    shown = labelled(rows, kept)
    found = lists.values(asked, chosen, field)
    assert {one.value: one.count for one in found} == Counter(row[field] for row in shown)
    assert [one.count for one in found] == sorted((one.count for one in found), reverse=True)
    assert lists.is_quick(asked, chosen, field), "a small warehouse is read at once"


def test_a_list_is_searched_and_only_a_field_that_has_one_is_listed(asked: Query) -> None:
    def listed(field: str, search: str = "") -> dict[str | None, int]:
        return {one.value: one.count for one in lists.values(asked, _CHOSEN, field, search)}

    assert set(listed("triggered_by", "zOË")) == {"zoë@x.example", "Zoë@x.example"}
    assert listed("application", "'; drop") == {}
    for field in ("comments", "event_id", "run_id", "1; drop table x"):
        with pytest.raises(ValueError, match="there is no list of"):
            lists.values(asked, WHOLE, field)


def test_groups_open_level_by_level_and_page_by_their_last(asked: Query, rows: list[dict[str, Any]]) -> None:
    fields = ("application", "triggered_by", "comments")
    inner = [row for row in kept_by(rows, RAGGED) if row["application"] == "UserHub" and row["triggered_by"] is None]
    found = groups.groups(asked, RAGGED, fields, ("UserHub", None))
    assert {one.value: (one.success, one.failure) for one in found} == by_outcome(inner, "comments")
    paged = []
    last = None
    while part := groups.groups(asked, RAGGED, fields, ("UserHub", None), limit=2, after=last):
        paged += part
        last = part[-1]
    assert paged == found
    for wrong in (
        (),
        ("event_id",),
        ("entity", "entity"),
        ("run_id",),
        ("application", "entity", "activity", "outcome"),
    ):
        with pytest.raises(ValueError, match="grouped"):
            groups.groups(asked, WHOLE, wrong)


@pytest.mark.parametrize(
    ("length", "unit"), [(timedelta(hours=3), "hour"), (timedelta(days=30), "day"), (timedelta(days=400), "week")]
)
def test_events_over_time_have_every_unit(
    asked: Query, rows: list[dict[str, Any]], length: timedelta, unit: str
) -> None:
    end = datetime(2026, 5, 1, 10, 15, tzinfo=UTC)
    series = charts.over_time(asked, Filters(end - length, end))
    assert series.unit == unit
    kept = kept_by(rows, Filters(end - length, end))
    assert sum(success for _, success, _ in series.points) == sum(row["outcome"] == "SUCCESS" for row in kept)
    assert sum(failure for _, _, failure in series.points) == sum(row["outcome"] == "FAILURE" for row in kept)
    steps = {later[0] - earlier[0] for earlier, later in zip(series.points, series.points[1:], strict=False)}
    assert steps == {timedelta(**{f"{unit}s": 1})}
    if unit == "hour":
        assert [at.hour for at, _, _ in series.points] == [7, 8, 9, 10]
