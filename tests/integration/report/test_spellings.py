"""One name has one label and one number, however its events spell it: by page, export, link, saved view and SQL."""

from __future__ import annotations

import csv
import html
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import openpyxl
import pyarrow.parquet as pq
import pytest
from pypdf import PdfReader

from activity_audit.report.queries import charts, events, groups, kinds, lists
from activity_audit.report.queries.orders import Order
from activity_audit.report.queries.warehouse import Warehouse
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse.events.filters import Filters
from tests.integration.report_rows import (
    TITLES,
    by_outcome,
    counted,
    in_order,
    kept_by,
    labelled,
)  # fmt: skip
from tests.integration.report_support import browser, csrf, export, served
from tests.integration.support import deliver, event, lines, one, query, run, said, until

WHOLE = Filters(datetime(2026, 4, 30, tzinfo=UTC), datetime(2026, 5, 3, tzinfo=UTC))
RAGGED = Filters(datetime(2026, 4, 30, 0, 5, tzinfo=UTC), datetime(2026, 5, 2, 10, 40, tzinfo=UTC))
# How many events have each (application, entity, activity); the catalogue has Analytics, Chat, and Interaction Viewed.
SPELLED = {
    ("Analytics", "Chat", "Interaction Viewed"): 3,
    ("Analytics", "CHAT", "Interaction Viewed"): 9,
    ("Analytics", "chat", "interaction-viewed"): 5,
    ("Analytics", "Chat", "INTERACTION  VIEWED"): 1,
    ("Analytics", "SMS", "interaction-viewed"): 4,
    ("Search", "gizmo", "spin"): 6,
    ("Search", "GIZMO", "Spin"): 2,
    ("Search", "Giz Mo", "spin"): 6,
    ("CloudTrail", "Trail", "interaction viewed"): 2,
    ("cloud-trail", "Trail", "read"): 3,
    ("cloud-trail", "Trail " + "long" * 80, "read"): 2,
    ("CloudTrail", "TRAIL " + "LONG" * 80, "read"): 1,
}
CHATS = 18
FILTERS = [
    WHOLE,
    RAGGED,
    *(
        Filters(WHOLE.start, WHOLE.end, applications=("Analytics",), entities=(entity,), activities=(activity,))
        for entity in ("Chat", "CHAT", "c h a t")
        for activity in ("Interaction Viewed", "interaction-viewed")
    ),
    replace(RAGGED, entities=("GIZMO", "chat"), outcomes=("SUCCESS",)),
    replace(RAGGED, excluded=(("entity", "GIZ-MO"), ("activity", "Read"))),
    replace(WHOLE, applications=("CLOUDTRAIL",)),
    replace(RAGGED, applications=("cloud-trail",), triggered_by=("ann@x.example",)),
    replace(RAGGED, applications=("CloudTrail",), comments="seen"),
    replace(WHOLE, entities=("Trail " + "long" * 80,)),
    replace(WHOLE, entities=("TRAIL " + "LONG" * 80,)),
    replace(WHOLE, entities=("nobody",)),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A run of the names of `SPELLED`, over two days and a half."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIT_HOME", str(tmp_path_factory.mktemp("spellings") / "home"))
        settings = load_settings()
        names = [name for name, count in SPELLED.items() for _ in range(count)]
        records = [
            event(
                f"e{number:03}",
                application=application,
                entity=entity,
                activity=activity,
                eventTime=f"2026-{('04-30', '05-01', '05-02')[number % 3]}T{number % 11:02}:{number:02}:00Z",
                outcome=("SUCCESS", "FAILURE", "SUCCESS")[number % 3],
                triggeredBy=(None, "ann@x.example")[number % 2],
                comments=("seen", None)[number % 2],
            )
            for number, (application, entity, activity) in enumerate(names)
        ]
        deliver(settings, lines(records), hour=48)
        run(settings, 48)
        yield settings


@pytest.fixture(scope="module")
def rows(home: Settings) -> list[dict[str, Any]]:
    found = query(home, f"select {', '.join(TITLES)} from fact_activity_event")
    assert len(found) == sum(SPELLED.values())
    return [dict(zip(TITLES, row, strict=True)) for row in found]


@pytest.fixture(scope="module")
def warehouse(home: Settings) -> Iterator[Warehouse]:
    """What the report asks that home with, once its events are counted by who triggered them; nothing is remembered."""
    opened = Warehouse(home, remembered=0)
    until(lambda: counted(opened))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def client(home: Settings) -> Iterator[httpx.Client]:
    with served(home) as server, browser(server.base, follow_redirects=True) as opened:
        opened.headers["X-CSRF-Token"] = csrf(opened.get(server.link))
        yield opened


@pytest.mark.parametrize(
    ("field", "search", "found"),
    [
        ("activity", "interaction-view", {"Interaction Viewed"}),
        ("activity", "VIEWED", {"Interaction Viewed"}),
        ("entity", "iz mo", {"GIZMO", "Giz Mo", "gizmo"}),
        ("entity", "chat", {"Chat"}),
        ("entity", "-", set()),
    ],
)
def test_a_list_is_searched_by_any_spelling(warehouse: Warehouse, field: str, search: str, found: set[str]) -> None:
    with warehouse.query() as asked:
        values = {one.value for one in lists.values(asked, WHOLE, field, search)}
    assert values <= found
    assert bool(values) is bool(found)


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("by_kind", [True, False])
def test_names_are_counted_and_shown_by_their_label(
    warehouse: Warehouse,
    rows: list[dict[str, Any]],
    filters: Filters,
    by_kind: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not by_kind:
        monkeypatch.setattr(kinds, "_MOST", -1)
    kept = kept_by(rows, filters)
    shown = labelled(rows, kept)
    fields = ("application", "entity", "activity")
    with warehouse.query() as asked:
        assert events.count(asked, filters) == len(kept)
        assert sum(success + failure for _, success, failure in charts.over_time(asked, filters).points) == len(kept)
        page = events.page(asked, filters, Order()).rows
        assert page == in_order(kept, Order())
        for field in fields:
            tops = charts.top(asked, filters, field, 50)
            assert {one.value: (one.success, one.failure) for one in tops} == by_outcome(shown, field)
            grouped = groups.groups(asked, filters, ("triggered_by", field), (None,))
            inner = [row for row in shown if row["triggered_by"] is None]
            assert {one.value: (one.success, one.failure) for one in grouped} == by_outcome(inner, field)
        for path in (("CLOUDTRAIL",), ("Analytics", "chat"), ("search", "G I Z M O")):
            tree = groups.groups(asked, filters, fields, path)
            wanted = kept_by(shown, replace(WHOLE, applications=path[:1], entities=path[1:]))
            assert {one.value: (one.success, one.failure) for one in tree} == by_outcome(wanted, fields[len(path)])
        listed = lists.values(asked, filters, "activity")
        without = kept_by(rows, filters.without("activity"))
        assert {one.value: one.count for one in listed} == Counter(row["activity"] for row in labelled(rows, without))


def test_the_label_is_the_catalogues_else_the_most_frequent_else_the_smallest(warehouse: Warehouse) -> None:
    with warehouse.query() as asked:
        of = asked.labels.of
        assert [of("entity", "CHAT"), of("activity", "interaction viewed"), of("entity", "gizmo")] == [
            "Chat", "Interaction Viewed", "Giz Mo"
        ]  # fmt: skip
        assert of("application", "CLOUD trail") == "cloud-trail"
        assert asked.labels.spellings("entity", "c-h-a-t") == ("Chat", "CHAT", "chat")
        assert of("instance", "CHAT") == "CHAT"
        names = [one.application for one in lists.applications(asked)]
        assert "cloud-trail" in names
        assert "CloudTrail" not in names


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("field", ["entity", "activity", "application"])
def test_rows_are_sorted_by_what_their_cells_show(
    warehouse: Warehouse, rows: list[dict[str, Any]], field: str, descending: bool
) -> None:
    order = Order(field, descending)
    for filters in (WHOLE, replace(RAGGED, entities=("chat", "giz mo"), applications=("Analytics", "Search"))):
        with warehouse.query() as asked:
            found: list[tuple[Any, ...]] = []
            last = None
            while True:
                page = events.page(asked, filters, order, after=last, limit=4)
                found += page.rows
                last = page.last
                if not page.more:
                    break
            assert found == in_order(kept_by(rows, filters), order)


def test_a_page_shows_the_label_of_a_link_that_spells_it_otherwise(client: httpx.Client) -> None:
    period = [("period", "from-to"), ("from", "2026-04-30"), ("to", "2026-05-02")]
    asked = urlencode([*period, ("application", "Analytics"), ("entity", "cHaT"), ("activity", "Interaction_viewed")])
    for address in (f"/?{asked}", f"/pictures?{asked}", f"/groups?{asked}&group=entity&group=activity&path=CHAT"):
        page = client.get(address)
        assert page.status_code == 200, page.text
        boxes = re.findall(r'name="(entity|activity)" value="([^"]*)"( checked)?', page.text)
        assert ("entity", "Chat", " checked") in boxes, address
        assert ("activity", "Interaction Viewed", " checked") in boxes, address
        assert not [value for field, value, _ in boxes if value in ("CHAT", "chat", "cHaT", "interaction-viewed")]
        assert "Entity: Chat" in page.text
        assert f"{CHATS} events" in page.text or f">{CHATS}<" in page.text, address
    cells = re.findall(r'<td class="entity" data-field="entity"[^>]*>([^<]*)', client.get(f"/?{asked}").text)
    assert Counter(cells) == {"Chat": 4, "CHAT": 9, "chat": 5}
    saved = client.post("/saved", data={"name": "odd", "query": asked, "csrf": client.headers["X-CSRF-Token"]})
    assert saved.status_code == 200, saved.text
    opened = client.get(f"/?{asked}")
    assert "Entity: Chat" in opened.text


def test_a_saved_view_that_is_opened_counts_what_sql_counts(client: httpx.Client, home: Settings) -> None:
    asked = urlencode(
        [
            *(("period", "from-to"), ("from", "2026-04-30"), ("to", "2026-05-02")),
            *(("application", "Analytics"), ("entity", "chat"), ("activity", "INTERACTION-VIEWED")),
        ]
    )
    client.post("/saved", data={"name": "chats", "query": asked, "csrf": client.headers["X-CSRF-Token"]})
    link = re.search(r'href="([^"]*)"[^>]*>\s*chats', client.get("/saved").text)
    assert link
    shown = re.search(r"<strong>([\d,]+)</strong> event", client.get(html.unescape(link[1])).text)
    assert shown
    sql = """
        select count(*) from fact_activity_event
        where application = 'Analytics' and lower(entity) = 'chat'
            and regexp_replace(lower(activity), '[^a-z]', '', 'g') = 'interactionviewed'
    """
    assert (int(shown[1]), one(home, sql)) == (CHATS, CHATS)


@pytest.mark.parametrize("name", ["Interaction Analytics", "interaction-analytics", "ANALYTICS"])
def test_a_link_may_name_an_application_by_any_of_its_names(
    client: httpx.Client, warehouse: Warehouse, name: str
) -> None:
    asked = urlencode(
        [("period", "from-to"), ("from", "2026-04-30"), ("to", "2026-05-02"), ("application", name), ("entity", "chat")]
    )
    for address in (f"/?{asked}", f"/groups?{asked}&group=entity"):
        page = client.get(address)
        assert "Application: Analytics" in page.text or "Interaction Analytics" in page.text
        assert f"{CHATS} events" in page.text or f">{CHATS}<" in page.text, address
    assert export(client, f"/export?{asked}", "csv")["rows"] == CHATS
    chosen = replace(WHOLE, applications=(name,), entities=("chat",))
    without = replace(WHOLE, excluded=(("application", name),), entities=("chat",))
    with warehouse.query() as query_:
        assert (events.count(query_, chosen), events.count(query_, without)) == (CHATS, 0)


def test_every_way_to_ask_gives_one_number(
    home: Settings, client: httpx.Client, warehouse: Warehouse, tmp_path: Path
) -> None:
    link = urlencode(
        [("period", "from-to"), ("from", "2026-04-30"), ("to", "2026-05-02"), ("application", "Analytics"),
         ("entity", "CHAT"), ("activity", "interaction-viewed")]
    )  # fmt: skip
    counts: dict[str, int] = {}
    for suffix in ("csv", "xlsx", "parquet", "pdf"):
        state = export(client, f"/export?{link}", suffix)
        assert state["state"] == "done", state
        content = client.get(f"/export/{state['id']}/file").content
        match suffix:
            case "csv":
                counts[suffix] = len(list(csv.DictReader(StringIO(content.decode()))))
            case "xlsx":
                book = openpyxl.load_workbook(BytesIO(content), read_only=True)
                counts[suffix] = sum(1 for _ in book.worksheets[0].iter_rows()) - 1
            case "parquet":
                counts[suffix] = pq.read_table(BytesIO(content)).num_rows
            case "pdf":
                text = " ".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages)
                assert re.search(rf"All {CHATS}\s.*Chat {CHATS} 6\s", text, re.DOTALL), text
                counts[suffix] = len(re.findall(r" e\d{3} ", text))
    options = (
        "--from", "2026-04-30T00:00:00Z", "--to", "2026-05-03T00:00:00Z", "--application", "analytics",
        "--entity", "chat", "--activity", "interaction viewed",
    )  # fmt: skip
    told = said(home, "export", *options, "--to-file", str(tmp_path / "x.csv"), "--output", "json").stdout
    counts["audit export"] = json.loads(told)["rows"]
    pack = tmp_path / "pack"
    said(home, "evidence", *options, "--out", str(pack))
    counts["audit evidence"] = pq.read_table(pack / "events.parquet").num_rows
    counts["SQL"] = one(
        home,
        "select count(*) from fact_activity_event as event inner join dim_entity_activity as kind "
        "using (entity_activity_key) where kind.application = 'Analytics' and kind.entity = 'Chat' "
        "and kind.activity = 'Interaction Viewed'",
    )
    with warehouse.query() as asked:
        chosen = Filters(WHOLE.start, WHOLE.end, entities=("Chat",), activities=("Interaction Viewed",))
        counts["page"] = events.count(asked, replace(chosen, applications=("Analytics",)))
    assert counts == dict.fromkeys(counts, CHATS)
