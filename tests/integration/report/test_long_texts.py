"""Texts of events that are long, or that a link, a form or a line of text would change: each page of them has a bound,
each of its links answers, and what cannot be seen is named."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from activity_audit.base.catalogue import normalised_name
from activity_audit.base.shown_text import visible
from activity_audit.report.heat import Cell, rows
from activity_audit.report.queries.events import Order, page
from activity_audit.report.queries.groups import FIELDS as GROUPABLE
from activity_audit.report.queries.groups import Group, groups
from activity_audit.report.queries.lists import MOST_APPLICATIONS, applications
from activity_audit.report.queries.quality import drift
from activity_audit.report.queries.warehouse import Warehouse
from activity_audit.report.texts import encode, some_text
from activity_audit.report.time_fields import FIELDS as TIME_FIELDS
from activity_audit.report.web.cursors import decode_group, decode_key, encode_group, encode_key
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.filters import NAMES, Filters
from activity_audit.warehouse.events.long_texts import LONGEST_QUERY, short
from tests.integration.report_support import PERIOD, browser, export, served
from tests.integration.support import deliver, event, lines, query, run

_LONG = "long " * 40_000 + "text"
TEXTS = (
    _LONG, f"{_LONG}.", "x" * 251, "é" * 126, "two\nlines\r\nand a\ttab", "a\x00b", "\"quoted\" 'twice'",
    "100%25 %00 +&=#?", "\u2028separated\u2029", "\u202egnp.exe\u2066", "\u200bhidden\ufeff", "~sha256:00", "~esc:%00",
    "~null", "~", " ", "\U0010ffff",
)  # fmt: skip
_NAMES = {
    "application": "application", "entity": "entity", "activity": "activity", "triggered_by": "triggeredBy",
    "instance": "instance", "comments": "comments", "event_id": "eventId",
}  # fmt: skip
_HIDDEN = re.compile("[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202f\u2066-\u2069\ufeff]")
MAY = Filters(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
LARGEST_PAGE = 2_000_000


def _events() -> Iterator[dict[str, Any]]:
    for number, text in enumerate(TEXTS):
        for name in _NAMES.values():
            yield event(f"{number}-{name}") | {name: f"{text}{number}" if name == "eventId" else text}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Events with each of the texts in each of the fields; and such a feed's file."""
    settings = load_settings(home=tmp_path_factory.mktemp("long") / "home")
    refused = [event("refused", outcome=text) for text in TEXTS if len(text) < 1000]
    refused += [event(f"refused-{number:02}", outcome="none") for number in range(40)]
    refused += [event("much", outcome="none", comments="much " * 10_000 + "the end")]
    deliver(settings, lines([*_events(), *refused]), name="a\u202enosj.ndjson")
    run(settings)
    return settings


@pytest.fixture(scope="module")
def client(home: Settings) -> Iterator[httpx.Client]:
    """A browser of somebody who may do everything."""
    with served(home) as server, browser(server.base) as opened:
        assert opened.get(server.link).status_code == 303
        yield opened


def _links(page: httpx.Response) -> set[str]:
    return {html.unescape(link) for link in re.findall(r'href="(/[^"]*)"', page.text) if not link.startswith("/static")}


def _ask(client: httpx.Client, url: str) -> httpx.Response:
    """The page, looked at for what every page must be."""
    answer = client.get(url, follow_redirects=True)
    assert answer.status_code in (200, 404), (url[:200], answer.status_code)
    assert answer.status_code == 200 or url.startswith("/data-docs"), url[:200]
    assert len(answer.content) < LARGEST_PAGE or url.startswith("/event"), (url[:200], len(answer.content))
    if not url.startswith("/data-docs"):
        shown = re.sub(r'(value|data-text)="[^"]*"', "", answer.text)
        assert not (found := _HIDDEN.search(html.unescape(shown))), (url[:200], found)
    return answer


# Fields that are shown as others are.
_ALIKE = {"entity", "activity", "instance"}


def _some_of(fields: Iterable[str]) -> list[Any]:
    """All of them, the alike ones in the slow tests only."""
    return [pytest.param(field, marks=pytest.mark.slow if field in _ALIKE else ()) for field in fields]


@pytest.mark.parametrize("field", _some_of(field for field in GROUPABLE if field not in TIME_FIELDS))
def test_each_group_leads_to_its_events(client: httpx.Client, home: Settings, field: str) -> None:
    kept = Counter(value for (value,) in query(home, f"select {field} from fact_activity_event"))
    page = _ask(client, f"/groups?{PERIOD}&group={field}")
    found = {}
    for link in _links(page):
        asked = parse_qs(urlsplit(link).query, keep_blank_values=True)
        if "path" not in asked:
            continue
        opened = _ask(client, link)
        (path,) = asked["path"]
        count = re.search(r"<strong>([\d,]+)</strong> event", opened.text)
        found[path] = int(count[1].replace(",", "")) if count else 0
    if field not in NAMES:
        assert found == {encode(value): number for value, number in kept.items()}
        return
    # The spellings of one name are one group, under one of them.
    assert sorted(found.values()) == sorted(_by_name(kept).values())
    assert set(found) <= {encode(value) for value in kept}


def test_each_link_of_a_page_answers(client: httpx.Client) -> None:
    begin = [
        f"/?{PERIOD}&instance={encode('a' + chr(0) + 'b')}", f"/groups?{PERIOD}&group=comments&group=instance",
        f"/pictures?{PERIOD}", "/quality/quarantine", "/quality/drift", "/quality", f"/saved?{PERIOD}",
        f"/?{urlencode([*[tuple(one.split('=')) for one in PERIOD.split('&')], ('not', 'comments:' + encode(_LONG))])}",
        f"/?{PERIOD}&sort=comments", f"/?{PERIOD}&sort=event_id&columns=comments,event_id",
    ]  # fmt: skip
    known: set[str] = set(begin)
    for url in begin:
        for link in sorted(_links(_ask(client, url)) - known)[:15]:
            known.add(link)
            _ask(client, link)
    assert len(known) > 60


def test_the_quarantine_is_paged_and_a_long_record_is_opened_by_itself(client: httpx.Client, home: Settings) -> None:
    held = query(home, "select count(*) from quality.quarantined_event")[0][0]
    url, seen, whole = "/quality/quarantine", [], []
    while url:
        page = _ask(client, url)
        assert len(page.content) < 100_000
        assert "beginning is kept" not in page.text, "all of these records are kept whole"
        rows = re.findall(r"record (\d+)</span></th>", page.text)
        assert len(rows) <= 25
        seen += rows
        links = sorted(_links(page))
        whole += [link for link in links if "only=" in link]
        url = next((link for link in links if "after=" in link), "")
    assert len(seen) == len(set(seen)) == held > 50
    assert "the end" not in page.text
    opened = [_ask(client, link) for link in whole]
    assert sum("much the end" in one.text for one in opened) == 1
    for one in opened:
        assert len(re.findall(r"record \d+</span></th>", one.text)) == 1


def test_an_hour_with_twenty_thousand_remarks_is_told_in_some_lines() -> None:
    detail = "; ".join(f"name-{number} is in the manifest and was not delivered" for number in range(20_000))
    told = some_text(detail)
    assert told.startswith("name-0 is in the manifest")
    assert told.endswith("; and 19,990 more, all in quality.feed_reconciliation")
    assert len(told) < 2_000
    hour = datetime(2026, 5, 1, 10)  # noqa: DTZ001
    ((mark,),) = (row.marks for row in rows("hour", [hour], [Cell("search", hour, incomplete=1, detail=detail)], {}))
    assert "and 19,997 more" in mark.text
    assert len(mark.text) < 1_000
    assert some_text("a; b") == "a; b"


def _by_name(kept: Counter[str]) -> Counter[str]:
    """The events of each name, however it is spelt."""
    together = Counter[str]()
    for value, number in kept.items():
        together[normalised_name(value)] += number
    return together


@pytest.mark.parametrize("field", _some_of(["application", "entity", "activity", "triggered_by", "instance"]))
def test_a_form_sends_each_value_back(client: httpx.Client, home: Settings, field: str) -> None:
    """What a browser sends of a checked box: the box's value, with its line ends changed."""
    kept = Counter(value for (value,) in query(home, f"select {field} from fact_activity_event"))
    boxes = client.get(f"/values?{PERIOD}&field={field}").text
    if field == "application":
        # The prompt has its own.
        boxes = client.get(f"/?{PERIOD}").text.partition('id="prompt-form"')[2].partition("</form>")[0]
    found = re.findall(f'name="{field}" value="([^"]*)"', boxes)
    sent = [re.sub("\r\n|\r|\n", "\r\n", html.unescape(value)).replace("\0", "\ufffd") for value in found]
    counts = [len(client.get(f"/rows?{PERIOD}&{urlencode({field: value})}").json()["rows"]) for value in sent]
    # The prompt offers documented applications without events, too.
    assert Counter(filter(None, counts)) == Counter((_by_name(kept) if field in NAMES else kept).values())
    assert len(set(sent)) == len(sent)


def test_rows_say_what_is_shown_and_what_a_link_says(client: httpx.Client) -> None:
    found = client.get(f"/rows?{PERIOD}").json()
    assert len(json.dumps(found)) < LARGEST_PAGE
    place = [column.field for column in COLUMNS].index("comments")
    by_text = {row[place]: number for number, row in enumerate(found["rows"]) if row[place]}
    number = str(by_text["\u202egnp.exe\u2066"])
    assert found["shown"][number][str(place)] == "⟨U+202E⟩gnp.exe⟨U+2066⟩"
    number = str(by_text["a\x00b"])
    assert found["codes"][number][str(place)] == "~esc:a%00b"
    (cut,) = {text for text in by_text if text.startswith("long") and f"{len(_LONG):,}" in text}
    assert found["codes"][str(by_text[cut])][str(place)] == encode(_LONG)
    with_link = client.get(f"/rows?{PERIOD}&not=comments:{encode(_LONG)}").json()["rows"]
    assert cut not in [row[place] for row in with_link]
    assert len(with_link) == len(found["rows"]) - 1


def test_the_event_has_all_of_its_text(client: httpx.Client) -> None:
    page = client.get(f"/?{PERIOD}&event_id={encode(f'{_LONG}0')}")
    (link,) = {link for link in _links(page) if link.startswith("/event?")}
    assert len(link) < 1000
    told = _ask(client, link)
    assert f"{_LONG}0" in told.text
    # That it was looked at is on record, with less of it.
    lined = client.get(f"/?{PERIOD}&comments=two%0Alines")
    (link,) = {link for link in _links(lined) if link.startswith("/event?")}
    assert "two\nlines⟨U+000D⟩\nand a⟨U+0009⟩tab" in _ask(client, link).text


def test_places_among_long_texts_are_found_again(home: Settings) -> None:
    warehouse = Warehouse(home)
    try:
        with warehouse.query() as asked:
            for field in ("comments", "instance", "event_id"):
                for descending in (True, False):
                    order = Order(field, descending)
                    whole = page(asked, MAY, order).rows
                    rows, key = [], None
                    while True:
                        part = page(asked, MAY, order, after=key, limit=30)
                        rows += part.rows
                        key = decode_key(encode_key(part.last), order.fields)
                        if not part.more:
                            break
                    assert rows == whole, (field, descending)
                    back = page(asked, MAY, order, before=key, limit=200)
                    assert back.rows == whole[:-1]
            for field in ("comments", "application"):
                all_of_them = groups(asked, MAY, (field,))
                found: list[Group] = []
                while len(found) < len(all_of_them):
                    after = decode_group(encode_group(found[-1])) if found else None
                    found += groups(asked, MAY, (field,), (), 3, after)
                assert found == all_of_them, field
            for value in (_LONG, "a\x00b"):
                kept = groups(asked, MAY, ("comments", "entity"), (short(value),))
                assert [group.count for group in kept] == [1]
    finally:
        warehouse.close()


def test_what_events_name_is_listed_up_to_a_bound(home: Settings) -> None:
    warehouse = Warehouse(home)
    try:
        with warehouse.query() as asked:
            known = applications(asked)
            documented = [one for one in known if one.is_documented]
            assert len(documented) < len(known) < MOST_APPLICATIONS
            assert applications(asked, len(documented) + 3) == known[: len(documented) + 3]
            assert drift(asked, 3) == drift(asked)[:3]
    finally:
        warehouse.close()


def test_a_place_that_is_gone_is_told(client: httpx.Client) -> None:
    key = encode_key(("gone" * 100, datetime(2026, 5, 1, 10), "e"))  # noqa: DTZ001
    for link in (f"/?{PERIOD}&sort=comments&after={key}",
                 f"/groups?{PERIOD}&group=comments&after={encode_group(Group('gone' * 100, 1, 1, 0))}"):  # fmt: skip
        answer = client.get(link)
        assert (answer.status_code, "no event has it" in answer.text) == (400, True)


def _most_of(name: str, longest: str) -> str:
    """The query with the most values that a link may have."""
    values: list[str] = []
    while True:
        values.append(f"{name}{longest}{len(values)}")
        asked = urlencode([*[tuple(one.split("=")) for one in PERIOD.split("&")], *[("not", one) for one in values]])
        if len(asked) > LONGEST_QUERY - 100:
            return asked.rpartition("&")[0]


@pytest.mark.parametrize("longest", ["", "&'\"<\u202e" * 5, "y" * 240])
def test_the_largest_page_that_can_be_asked_for(client: httpx.Client, longest: str) -> None:
    asked, sizes = _most_of("entity:", longest), {}
    for path in ("/", "/groups", "/pictures", "/export", "/saved", "/values", "/event"):
        more = {"/groups": "&group=comments", "/values": "&field=entity", "/event": "&id=0-entity"}.get(path, "")
        sizes[path] = len(_ask(client, f"{path}?{asked}{more}").content)
    assert max(sizes.values()) < LARGEST_PAGE, sizes
    assert sizes["/"] > 100_000, "it does have that much chosen"
    too_much = client.get(f"/?{asked}&not=comments:{'z' * 240}&comments={'z' * 500}")
    assert (too_much.status_code, f"where {LONGEST_QUERY:,} are allowed" in too_much.text) == (400, True)


def test_what_is_exported_is_what_events_say(client: httpx.Client) -> None:
    token = re.search(r'name="csrf" content="([^"]+)"', client.get("/saved").text)
    assert token
    client.headers["X-CSRF-Token"] = token[1]
    state = export(client, f"/export?{PERIOD}&not=comments:{encode(_LONG)}", "csv")
    assert state["state"] == "done"
    text = client.get(f"/export/{state['id']}/file").text
    assert "\u202egnp.exe\u2066" in text
    about = client.get(f"/export/{state['id']}/about").json()
    assert about["filters"]["excluded"] == [["comments", {"sha256": encode(_LONG).removeprefix("~sha256:")}]]
    assert visible("\u202e") not in text
