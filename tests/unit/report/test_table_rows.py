"""The rows of the table of events, as HTML."""

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlsplit

from activity_audit.report.texts import encode
from activity_audit.report.web.cells import table_rows
from activity_audit.report.web.urls import FIELDS, State
from activity_audit.warehouse.events.columns import COLUMNS

AT = datetime(2026, 5, 1, 10, 15, 0, 250000, UTC).replace(tzinfo=None)
HOSTILE = """<script>alert('1')</script> & "x" Ünï"""


class Cells(HTMLParser):
    """What a browser finds: the attributes and the text of each cell, and the links in them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.cells: list[tuple[dict[str, str | None], str]] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "td":
            self.cells.append((dict(attrs), ""))
        elif tag == "a":
            self.links.append(str(dict(attrs)["href"]))

    def handle_data(self, data: str) -> None:
        if data.strip():
            attributes, text = self.cells[-1]
            self.cells[-1] = attributes, text + data


def row(**said: object) -> tuple[object, ...]:
    values = {"event_time_utc": AT, "event_id": "e-1", "outcome": "SUCCESS"} | said
    return tuple(values.get(column.field) for column in COLUMNS)


def test_each_column_is_a_cell_with_its_name_and_its_text() -> None:
    found = Cells(table_rows([row(entity="Chat", outcome="FAILURE")], State()))
    assert [attributes["data-field"] for attributes, _ in found.cells] == list(FIELDS)
    cells = {attributes["data-field"]: (attributes["class"], text) for attributes, text in found.cells}
    assert cells["event_time_utc"] == ("event_time_utc", "2026-05-01 10:15:00.250")
    assert cells["entity"] == ("entity", "Chat")
    assert cells["outcome"] == ("outcome FAILURE", "FAILURE")
    assert cells["comments"] == ("comments null", "—")


def test_no_value_is_taken_for_html() -> None:
    said = {name: HOSTILE for name in FIELDS if name not in ("event_time_utc", "outcome")}
    found = Cells(table_rows([row(**said)], State()))
    assert found.tags == {"tr", "td", "a"}
    assert [text for _, text in found.cells].count(HOSTILE) == len(said)


def test_the_first_column_shown_leads_to_the_event_whatever_its_id_has() -> None:
    state = State(columns=("comments", "event_id"), comments='a"b&c')
    found = Cells(table_rows([row(event_id=HOSTILE, comments="seen")], state))
    [link] = found.links
    assert found.cells[0] == ({"class": "comments", "data-field": "comments"}, "seen")
    assert urlsplit(link).path == "/event"
    asked = dict(parse_qsl(urlsplit(link).query))
    assert asked["id"] == HOSTILE
    assert asked["at"] == "2026-05-01 10:15:00.250000"
    assert asked["comments"] == 'a"b&c'


def test_what_cannot_be_seen_is_named_and_the_text_itself_is_there_for_menus() -> None:
    long = "long " * 100_000
    found = Cells(table_rows([row(event_id="e\u202e1", entity="\0", comments=long)], State()))
    cells = {str(attributes["data-field"]): (attributes, text) for attributes, text in found.cells}
    assert cells["event_id"][1] == "e⟨U+202E⟩1"
    assert json.loads(str(cells["event_id"][0]["data-text"])) == "e\u202e1"
    assert (cells["entity"][1], cells["entity"][0]["data-code"]) == ("⟨U+0000⟩", "~esc:%00")
    attributes, text = cells["comments"]
    assert len(text) < 1100
    assert "[cut: 500,000 characters]" in text
    assert attributes["data-code"] == encode(long)


def test_a_long_id_is_told_by_its_hash() -> None:
    [link] = Cells(table_rows([row(event_id="x" * 1_000_000)], State())).links
    asked = dict(parse_qsl(urlsplit(link).query))
    assert asked["sha256"] == encode("x" * 1_000_000).removeprefix("~sha256:")
    assert "id" not in asked


def test_the_links_of_a_long_state_leave_it_to_the_script() -> None:
    state = State(excluded=tuple(("entity", f"value-{number}") for number in range(300)))
    [link] = Cells(table_rows([row()], state)).links
    assert parse_qsl(urlsplit(link).query) == [("id", "e-1"), ("at", "2026-05-01 10:15:00.250000")]


def test_a_first_column_without_a_value_has_no_link() -> None:
    assert Cells(table_rows([row()], State(columns=("comments",)))).links == []
