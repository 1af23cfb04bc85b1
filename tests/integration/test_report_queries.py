"""What the report asks of the warehouse, held against the plain rows: every page, count and list must be exactly so."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestration import lake
from orchestration.hours import HOUR
from orchestration.settings import Settings, load_settings
from report.columns import COLUMNS
from report.filters import AGGREGATED, Filters
from report.queries import charts, detail, events, groups, kinds, lists, quality, trust
from report.queries.events import Page
from report.queries.orders import FIELDS, Order
from report.queries.warehouse import Query, Warehouse
from tests.integration.support import deliver, event, lines, query, run, until

TITLES = [column.field for column in COLUMNS]
START, END = datetime(2026, 4, 28, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC)
WHOLE = Filters(START, END)
RAGGED = Filters(datetime(2026, 4, 29, 9, 20, tzinfo=UTC), datetime(2026, 5, 1, 10, 17, 0, 5, tzinfo=UTC))
_WORDS = (None, "", "Reviewed", "REVIEWED again", "100% _done_", "naïve ÄRGER", "\u202ertl", "a'b; drop table x --")


def _records() -> list[dict[str, Any]]:
    """Events with ties to the microsecond, nulls, several spellings, and an hour that has most of them."""
    chosen = random.Random(7)
    records = []
    for number in range(400):
        hours = 0 if number % 2 else chosen.choice((3, 20, 26, 50, 70))
        at = datetime(2026, 5, 1, 10, 15, tzinfo=UTC) - timedelta(hours=hours, microseconds=chosen.randrange(4))
        application, entity, activity = chosen.choice(
            (("Search", "Search", "Search query"), ("Search", "SEARCH", "Search query"),
             ("UserHub", "User", "login"), ("UserHub", "User", "logout"), ("Analytics", "Chat", "Interaction Viewed"))
        )  # fmt: skip
        records.append(
            event(
                f"e-{chosen.randrange(10**9):09}-{number}",
                eventTime=at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
                application=application,
                entity=entity,
                activity=activity,
                outcome=chosen.choice(("SUCCESS", "SUCCESS", "FAILURE")),
                triggeredBy=chosen.choice((None, "zoë@x.example", "Zoë@x.example", "ann@x.example")),
                instance=chosen.choice((None, "1", "2", "é")),
                comments=chosen.choice(_WORDS),
            )
        )
    return records


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """One run with all of the records, and a refused one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_HOME", str(tmp_path_factory.mktemp("report") / "home"))
        settings = load_settings()
        deliver(settings, lines([*_records(), event("refused", outcome="perhaps")]))
        run(settings)
        yield settings


@pytest.fixture(scope="module")
def warehouse(home: Settings) -> Iterator[Warehouse]:
    warehouse = Warehouse(home)
    until(lambda: counted(warehouse))
    yield warehouse
    warehouse.close()


def counted(warehouse: Warehouse) -> bool:
    """Whether the newest snapshot has its events counted by who triggered them."""
    with warehouse.query() as asked:
        return asked.has_people


def prepared(warehouse: Warehouse) -> bool:
    """Whether all is known of the newest snapshot that is found out in the background."""
    with warehouse.query() as asked:
        return asked.is_prepared


@pytest.fixture
def asked(warehouse: Warehouse) -> Iterator[Query]:
    with warehouse.query() as asked:
        yield asked


@pytest.fixture(scope="module")
def rows(home: Settings) -> list[dict[str, Any]]:
    """Every event that was published, as the nine fields."""
    found = query(home, f"select {', '.join(TITLES)} from fact_activity_event")
    assert len(found) == 400
    return [dict(zip(TITLES, row, strict=True)) for row in found]


def _kept(rows: list[dict[str, Any]], filters: Filters) -> list[dict[str, Any]]:
    """The rows that the filters keep, by rules written a second time."""
    lists_of = {
        "application": filters.applications, "entity": filters.entities, "activity": filters.activities,
        "outcome": filters.outcomes, "triggered_by": filters.triggered_by, "instance": filters.instances,
        "event_id": filters.event_ids,
    }  # fmt: skip
    return [
        row
        for row in rows
        if filters.start <= row["event_time_utc"].replace(tzinfo=UTC) < filters.end
        and all(row[field] in chosen for field, chosen in lists_of.items() if chosen)
        and filters.comments.lower() in (row["comments"] or "").lower()
        and (not filters.comments or row["comments"] is not None)
        and all(row[field] != value for field, value in filters.excluded)
    ]


def _ordered(rows: list[dict[str, Any]], order: Order) -> list[tuple[Any, ...]]:
    ordered = list(rows)
    for field, descending in reversed(order.terms):
        known = sorted(
            (row for row in ordered if row[field] is not None), key=lambda row: row[field], reverse=descending
        )
        ordered = known + [row for row in ordered if row[field] is None]
    return [tuple(row[field] for field in TITLES) for row in ordered]


BOTH_WAYS = ("event_time_utc", "entity", "triggered_by")
ORDERS = [(field, place % 2 == 0) for place, field in enumerate(FIELDS)]
ORDERS += [(field, place % 2 == 1) for place, field in enumerate(FIELDS) if field in BOTH_WAYS]
FILTERS = [
    WHOLE,
    RAGGED,
    Filters(START, END, applications=("UserHub",), outcomes=("FAILURE",)),
    Filters(START, END, entities=("Search", "User"), excluded=(("activity", "login"),)),
    Filters(START, END, triggered_by=(None, "zoë@x.example")),
    Filters(START, END, comments="rEVIEWED"),
    Filters(START, END, comments="ärger", instances=(None, "é")),
    Filters(START, END, comments="% _"),
    Filters(START, END, excluded=(("comments", None), ("triggered_by", "ann@x.example"), ("application", "Search"))),
    Filters(RAGGED.start, RAGGED.end, excluded=(("comments", "a'b; drop table x --"),)),
    Filters(START, END, applications=("Nobody",)),
]


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
    expected = _ordered(_kept(rows, filters), order)
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
    kept = _kept(rows, filters)
    assert events.count(asked, filters) == len(kept)
    assert events.page(asked, filters, Order(), limit=7).rows == _ordered(kept, Order())[:7]
    order = Order("entity", False)
    assert events.page(asked, filters, order, limit=500).rows == _ordered(kept, order)
    for field in ("entity", "triggered_by"):
        found = groups.groups(asked, filters, (field,))
        assert {one.value: (one.success, one.failure) for one in found} == _by_outcome(kept, field)
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
    assert said[0][0].rows + said[0][1].rows == _ordered(_kept(rows, filters), order)[:230]


@pytest.mark.parametrize("filters", [*FILTERS, RAGGED])
def test_kinds_are_counted_up_as_duckdb_counts_them(
    home: Settings, filters: Filters, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[tuple[str | None, ...]] = [(), ("Search",), ("Search", "SEARCH"), ("Search", None)]

    def said() -> list[Any]:
        warehouse = Warehouse(home, remembered=0)
        try:
            with warehouse.query() as asked:
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
        finally:
            warehouse.close()

    by_kind = said()
    monkeypatch.setattr(kinds, "_MOST", -1)
    assert said() == by_kind


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


def _by_outcome(rows: list[dict[str, Any]], field: str) -> dict[Any, tuple[int, int]]:
    counts = Counter((row[field], row["outcome"]) for row in rows)
    return {value: (counts[value, "SUCCESS"], counts[value, "FAILURE"]) for value, _ in counts}


@pytest.mark.parametrize("filters", [WHOLE, RAGGED, FILTERS[4], FILTERS[5]])
@pytest.mark.parametrize("descending", [True, False])
def test_a_jump_lands_on_the_row_of_that_number(
    asked: Query, rows: list[dict[str, Any]], filters: Filters, descending: bool
) -> None:
    order = Order(descending=descending)
    expected = _ordered(_kept(rows, filters), order)
    for index in (0, 1, 20, len(expected) // 2, len(expected) - 1, len(expected) + 5):
        at = min(index, len(expected) - 1)
        # Three rows are of the hour that is led to; of so many that none is busy enough, some are of the next.
        for limit in (3, 230):
            page = events.page_at(asked, filters, index, descending=descending, limit=limit)
            assert page.rows == expected[at : at + limit]
            assert page.more == (len(expected) > at + limit)
            following = events.page(asked, filters, order, after=page.last, limit=3)
            assert following.rows == expected[at + limit : at + limit + 3]
    assert events.page_at(asked, FILTERS[-1], 5) == Page([], None, None, more=False)


def test_lists_depend_on_what_is_chosen_before_them_and_not_on_themselves(
    asked: Query, rows: list[dict[str, Any]]
) -> None:
    chosen = Filters(
        RAGGED.start, RAGGED.end, applications=("Search",), entities=("SEARCH",), outcomes=("FAILURE",)
    )  # fmt: skip
    everything = _kept(rows, RAGGED)

    def listed(field: str, search: str = "") -> dict[str | None, int]:
        return {one.value: one.count for one in lists.values(asked, chosen, field, search)}

    search = [row for row in everything if row["application"] == "Search"]
    assert listed("application") == Counter(row["application"] for row in everything)
    assert listed("entity") == Counter(row["entity"] for row in search)
    assert listed("activity") == Counter(row["activity"] for row in search if row["entity"] == "SEARCH")
    both = [row for row in search if row["entity"] == "SEARCH"]
    assert listed("outcome") == Counter(row["outcome"] for row in both)
    failed = [row for row in both if row["outcome"] == "FAILURE"]
    assert listed("triggered_by") == Counter(row["triggered_by"] for row in failed)
    assert set(listed("triggered_by", "zOË")) == {"zoë@x.example", "Zoë@x.example"}
    assert listed("application", "'; drop") == {}
    for field in ("comments", "event_id", "run_id", "1; drop table x"):
        with pytest.raises(ValueError, match="there is no list of"):
            lists.values(asked, WHOLE, field)


def test_groups_open_level_by_level_and_page_by_their_last(asked: Query, rows: list[dict[str, Any]]) -> None:
    fields = ("application", "triggered_by", "comments")
    inner = [row for row in _kept(rows, RAGGED) if row["application"] == "UserHub" and row["triggered_by"] is None]
    found = groups.groups(asked, RAGGED, fields, ("UserHub", None))
    assert {one.value: (one.success, one.failure) for one in found} == _by_outcome(inner, "comments")
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
    kept = _kept(rows, Filters(end - length, end))
    assert sum(success for _, success, _ in series.points) == sum(row["outcome"] == "SUCCESS" for row in kept)
    assert sum(failure for _, _, failure in series.points) == sum(row["outcome"] == "FAILURE" for row in kept)
    steps = {later[0] - earlier[0] for earlier, later in zip(series.points, series.points[1:], strict=False)}
    assert steps == {timedelta(**{f"{unit}s": 1})}
    if unit == "hour":
        assert [at.hour for at, _, _ in series.points] == [7, 8, 9, 10]


def test_one_event_says_where_it_came_from(home: Settings, asked: Query, rows: list[dict[str, Any]]) -> None:
    wanted = max(rows, key=lambda row: row["event_id"])
    found = detail.event(asked, wanted["event_id"])
    assert found is not None
    assert found.fields == {field: wanted[field] for field in TITLES}
    assert detail.event(asked, wanted["event_id"], wanted["event_time_utc"]) == found
    assert detail.event(asked, wanted["event_id"], wanted["event_time_utc"] + timedelta(hours=1)) is None
    assert detail.event(asked, "nobody") is None
    kept = replace(WHOLE, event_ids=(wanted["event_id"], "nobody"))
    assert events.page(asked, kept, Order()).rows == _ordered([wanted], Order())
    assert (events.count(asked, kept), events.count(asked, replace(kept, event_ids=("nobody",)))) == (1, 0)
    assert found.feed == "search"
    assert [delivery.name for delivery in found.deliveries] == ["a.ndjson"]
    assert found.snapshot_id == asked.snapshot.snapshot_id
    assert found.ledger is not None
    (sha256,) = query(home, "select entry_sha256 from quality.integrity_ledger where feed = 'search'")[0]
    assert found.ledger.entry_sha256 == sha256
    assert len(found.record_sha256) == 64


def test_trust_and_quality_say_what_the_tables_say(home: Settings, asked: Query) -> None:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    said = trust.trust(asked, home.freshness, now)
    assert (said.data_through, said.quarantined, said.stale, said.blocked) == (
        datetime(2026, 5, 1, 11, tzinfo=UTC).replace(tzinfo=None), 1, False, False
    )  # fmt: skip
    assert said.checks_passed + said.warnings == len(quality.checks(asked))
    assert said.missing == 15
    assert trust.trust(asked, home.freshness, now + timedelta(hours=3)).stale
    cells = {cell.feed: cell for cell in quality.heat_map(asked, START, END)}
    assert (cells["search"].status, cells["search"].quarantined, cells["qm"].status) == ("balanced", 1, "missing")
    (refused,) = quality.quarantine(asked, reason="invalid_outcome", feed="search")
    assert refused.event_id == "refused"
    key = tuple(getattr(refused, name) for name in quality.QUARANTINE_KEY)
    assert quality.quarantine(asked, after=key) == []
    assert quality.reasons(asked) == [("invalid_outcome", 1)]
    assert said.drift == len(quality.drift(asked))


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
