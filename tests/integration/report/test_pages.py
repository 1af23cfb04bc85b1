"""Pages of events, held against the plain rows: every row once and in order, forth, back, filtered and jumped to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from activity_audit.report.queries import events, groups
from activity_audit.report.queries.events import Page
from activity_audit.report.queries.orders import FIELDS, Order
from activity_audit.report.queries.warehouse import Query, Warehouse
from activity_audit.warehouse import lake
from activity_audit.warehouse.events.filters import Filters
from tests.integration.report_rows import END, FILTERS, RAGGED, START, WHOLE, by_outcome, in_order, kept_by, labelled

BOTH_WAYS = ("event_time_utc", "entity", "triggered_by")
ORDERS = [(field, place % 2 == 0) for place, field in enumerate(FIELDS)]
ORDERS += [(field, place % 2 == 1) for place, field in enumerate(FIELDS) if field in BOTH_WAYS]


@pytest.fixture
def warehouse(varied_warehouse: Warehouse) -> Warehouse:
    return varied_warehouse


@pytest.mark.parametrize(("field", "descending"), ORDERS)
def test_pages_forth_and_back_have_every_row_once_and_in_order(
    asked: Query, rows: list[dict[str, Any]], field: str, descending: bool
) -> None:
    filters = FILTERS[0] if field == "event_time_utc" else RAGGED
    _walk(asked, rows, filters, Order(field, descending), 97)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("filters", [FILTERS[5], FILTERS[6], replace(RAGGED, instances=("1", None))])
def test_pages_of_what_is_not_counted_have_every_row_once_too(
    asked: Query, rows: list[dict[str, Any]], filters: Filters, descending: bool
) -> None:
    _walk(asked, rows, filters, Order(descending=descending), 4)


def _walk(asked: Query, rows: list[dict[str, Any]], filters: Filters, order: Order, limit: int) -> None:
    expected = in_order(kept_by(rows, filters), order)
    forth: list[tuple[Any, ...]] = []
    page = events.page(asked, filters, order, limit=limit)
    forth += page.rows
    while page.more:
        page = events.page(asked, filters, order, after=page.last, limit=limit)
        forth += page.rows
    assert forth == expected
    back: list[tuple[Any, ...]] = page.rows[-1:]
    first, more = page.last, True
    while more:
        page = events.page(asked, filters, order, before=first, limit=limit)
        back = page.rows + back
        first, more = page.first, page.more
    assert back == expected


@pytest.mark.parametrize("filters", FILTERS)
def test_filters_keep_what_they_say(asked: Query, rows: list[dict[str, Any]], filters: Filters) -> None:
    kept = kept_by(rows, filters)
    assert events.count(asked, filters) == len(kept)
    assert events.page(asked, filters, Order(), limit=7).rows == in_order(kept, Order())[:7]
    order = Order("entity", False)
    assert events.page(asked, filters, order, limit=500).rows == in_order(kept, order)
    for field in ("entity", "triggered_by"):
        found = groups.groups(asked, filters, (field,))
        assert {one.value: (one.success, one.failure) for one in found} == by_outcome(labelled(rows, kept), field)
        assert [one.count for one in found] == sorted((one.count for one in found), reverse=True)


def test_without_counts_of_people_the_same_is_said(asked: Query, rows: list[dict[str, Any]]) -> None:
    order = Order("triggered_by", False)
    filters = Filters(START, END, triggered_by=(None, "zoë@x.example"))
    said = []
    for asked.has_people in (True, False):
        page = events.page(asked, filters, order, limit=30)
        found = groups.groups(asked, filters, ("triggered_by",))
        said.append((page, events.page(asked, filters, order, after=page.last), events.count(asked, filters), found))
    assert said[0] == said[1]
    assert said[0][0].rows + said[0][1].rows == in_order(kept_by(rows, filters), order)[:230]


@pytest.mark.parametrize("filters", [WHOLE, RAGGED, FILTERS[4], FILTERS[5]])
@pytest.mark.parametrize("descending", [True, False])
def test_a_jump_lands_on_the_row_of_that_number(
    asked: Query, rows: list[dict[str, Any]], filters: Filters, descending: bool
) -> None:
    order = Order(descending=descending)
    expected = in_order(kept_by(rows, filters), order)
    for index in (0, 1, 20, len(expected) // 2, len(expected) - 1, len(expected) + 5):
        at = min(index, len(expected) - 1)
        # Three rows are of the hour that is led to; of so many that none is busy enough, some are of the next.
        for limit in (3, 230):
            page = events.page_at(asked, filters, index, order, limit=limit)
            assert page.rows == expected[at : at + limit]
            assert page.more == (len(expected) > at + limit)
            following = events.page(asked, filters, order, after=page.last, limit=3)
            assert following.rows == expected[at + limit : at + limit + 3]
    assert events.page_at(asked, FILTERS[-1], 5) == Page([], None, None, more=False)


@pytest.mark.parametrize(("field", "descending"), ORDERS)
def test_a_jump_lands_on_the_row_of_that_number_in_every_order(
    asked: Query, rows: list[dict[str, Any]], field: str, descending: bool
) -> None:
    order = Order(field, descending)
    for filters in (RAGGED, FILTERS[5]):
        expected = in_order(kept_by(rows, filters), order)
        last = len(expected) - 1
        for index in (0, 1, last // 3, last - 1, last, last + 500):
            at = min(index, last)
            page = events.page_at(asked, filters, index, order, limit=9)
            assert page.rows == expected[at : at + 9]
            assert page.more == (len(expected) > at + 9)
            following = events.page(asked, filters, order, after=page.last, limit=3)
            assert following.rows == expected[at + 9 : at + 12]
    assert events.page_at(asked, FILTERS[-1], 5, order) == Page([], None, None, more=False)


def test_texts_are_in_an_alphabets_order_and_not_in_that_of_bytes(asked: Query) -> None:
    found = [row[2] for row in events.page(asked, WHOLE, Order("triggered_by", False), limit=400).rows]
    assert list(dict.fromkeys(found)) == ["ann@x.example", "Zoë@x.example", "zoë@x.example", None]


def test_only_the_nine_fields_sort_and_nothing_can_be_written(warehouse: Warehouse) -> None:
    for field in ("run_id", "event_time_utc desc; drop table x"):
        with pytest.raises(ValueError, match="cannot be sorted"):
            Order(field)
    with pytest.raises(ValueError, match="cannot be excluded"):
        Filters(START, END, excluded=(("run_id) or (true", "x"),))
    for statement in (
        "delete from audit.main.fact_activity_event",
        "from read_text('/etc/passwd')",
        "copy (select 1) to '/tmp/x.csv'",
        "set memory_limit = '1GB'",
        "set enable_external_access = true",
        "attach '/tmp/x.duckdb'",
    ):
        with pytest.raises(lake.WarehouseError, match="the warehouse cannot be read"), warehouse.query() as asked:
            asked.rows(statement)
