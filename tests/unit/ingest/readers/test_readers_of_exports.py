"""Files as spreadsheets, BI tools, delivery streams and broken services write them."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from activity_audit.base import catalogue
from activity_audit.ingest.readers import streams
from activity_audit.ingest.readers.csv_rows import KNOWN
from tests.unit.ingest.readers.test_readers import OBJECTS, kept, original, parse
from tests.unit.raw_lake import Feeds, Kept, problems, texts

HEADER = "eventId,eventTime,entity,activity,outcome"
EVENT = "e-1,2026-05-01T10:00:00Z,Search,search,SUCCESS"
READ = json.dumps(dict(zip(HEADER.split(","), EVENT.split(","), strict=True)), separators=(",", ":"))
UNREADABLE = "unparseable"
NO_HEADER = "the file has no header: none of its first lines names a field; deliver it with one. The first is: "


def test_the_known_names_are_those_of_the_dbt_macro() -> None:
    macro = (catalogue.DBT_PROJECT_DIR / "macros/record_json.sql").read_text(encoding="utf-8")
    named = re.search(r"macro field_names\(\) -%\}(.*?)endmacro", macro, re.DOTALL)
    assert named
    spellings = re.findall(r"'([^']+)'(?!:)", re.sub(r"'\w+':", "", named[1]))
    assert {name.lower() for name in spellings} == KNOWN


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["HTTP/1.1 503 Service Unavailable"], id="status line"),
        pytest.param(["<html>", "<body>Bad, gateway</body>", "</html>"], id="page"),
        pytest.param(['{"error":"unavailable"}'], id="json"),
        pytest.param([EVENT], id="one event"),
        pytest.param([EVENT, EVENT.replace("e-1", "e-2")], id="events"),
        pytest.param(["e-1,2026-05-01T10:00:00Z,Application,update,SUCCESS"], id="a value that is a name"),
        pytest.param(["a,b", "1,2", "", '"x', "y"], id="another table"),
        pytest.param([f"line {n}" for n in range(50)], id="text"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_without_a_header_every_line_of_a_csv_is_a_record(feeds: Feeds, lines: list[str], end: str) -> None:
    records = feeds.one("a.csv", end.join([*lines, ""]).encode())
    first, *others = [line for line in lines if line]
    told = Kept(NO_HEADER + first, UNREADABLE, first.encode(), len(first), None)
    assert records == [told, *(kept(line, UNREADABLE) for line in others)]


def test_a_first_line_that_is_no_header_is_kept_as_it_came(feeds: Feeds) -> None:
    (told, _) = feeds.one("a.csv", b"caf\xe9,x\n1,2\n")
    assert told == Kept(NO_HEADER + r"caf\xe9,x", UNREADABLE, b"caf\xe9,x", 6, None)


def test_a_first_line_that_is_too_large_has_that_reason(feeds: Feeds) -> None:
    (large,) = feeds.one("a.csv", b"x" * ((1 << 20) + 1) + b"\n")
    assert (large.problem, large.text[:9]) == ("too_large", "x" * 9)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(f"sep=,\n{HEADER}\n{EVENT}\n", [(READ, None)], id="sep"),
        pytest.param(f'\ufeff"SEP=,"\r\n{HEADER}\r\n{EVENT}\r\n', [(READ, None)], id="sep in quotes"),
        pytest.param(f"sep=^\n{HEADER}\n{EVENT}\n".replace(",", "^"), [(READ, None)], id="any separator"),
        pytest.param(
            f"Activity Audit\n\nFrom,2026-05-01\n{HEADER}\n{EVENT}\n",
            [("Activity Audit", UNREADABLE), ("From,2026-05-01", UNREADABLE), (READ, None)],
            id="titles",
        ),
        pytest.param(
            f"Activity Audit Report\n{EVENT}\n",
            [(f"{NO_HEADER}Activity Audit Report", UNREADABLE), (EVENT, UNREADABLE)],
            id="a title alone",
        ),
        pytest.param("sep=;\n", [], id="sep alone"),
        pytest.param(f"{HEADER}\nsep=,\n", [("sep=,", UNREADABLE)], id="sep below"),
        pytest.param("Comments\nhello\n", [('{"Comments":"hello"}', None)], id="one known field"),
        pytest.param(" EVENT_ID ;x\n1;2\n", [('{"EVENT_ID":"1","x":"2"}', None)], id="any case"),
    ],
)
def test_what_stands_above_a_table(feeds: Feeds, content: str, expected: list[tuple[str, str | None]]) -> None:
    records = feeds.one("a.csv", content.encode())
    assert list(zip(texts(records), problems(records), strict=True)) == expected


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", f"{HEADER}\r\n{EVENT}\r\n"), ("a.json", READ), ("a.ndjson", READ)]
)
@pytest.mark.parametrize("block", [1, 3, 1 << 20])
def test_another_encoding_is_known_by_its_mark(
    monkeypatch: pytest.MonkeyPatch, name: str, content: str, encoding: str, block: int
) -> None:
    monkeypatch.setattr(streams, "BLOCK", block)
    content = content.replace("search", "s\u00fcche \U0001f600")
    expected = parse(name, content.encode())
    assert len(expected) == 1
    data = f"\ufeff{content}".encode(encoding)
    assert parse(name, data) == expected
    assert parse(f"{name}.gz", gzip.compress(data)) == expected


def test_what_is_wrong_in_another_encoding_harms_nothing_else(feeds: Feeds) -> None:
    lines = f"{READ}\n".encode("utf-16")
    cut = feeds.one("cut.ndjson", lines + b"{")
    assert texts(cut)[0] == READ
    assert cut[1].problem == UNREADABLE
    assert "UTF-16" in cut[1].text
    half = feeds.one(
        "half.ndjson", lines + '{"a":"'.encode("utf-16-le") + b"\x00\xd8" + '"}\n'.encode("utf-16-le") + lines[2:]
    )
    assert texts(half)[0::2] == [READ, READ]
    assert problems(half) == [None, UNREADABLE, None]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.ndjson", "a.ndjson.gz"])
def test_another_encoding_without_its_mark_is_named(feeds: Feeds, name: str, encoding: str) -> None:
    data = f"{HEADER}\n{EVENT}\n".encode(encoding)
    data = gzip.compress(data) if name.endswith("gz") else data
    (record,) = feeds.one(name, data)
    reason = "the file looks like UTF-16 without a byte order mark; deliver it as UTF-8, or with the mark"
    assert record == Kept(reason, UNREADABLE, data, len(data), None)
    (record,) = feeds.one(f"large-{name}", data, limit=20)
    assert (record.text, record.problem, record.content) == (reason, "too_large", data)


@trials(max_examples=75, deadline=None)
@given(
    objects=st.lists(st.lists(OBJECTS, min_size=1, max_size=5), min_size=1, max_size=4),
    gaps=st.lists(st.sampled_from(["", " ", "\t", "\r\n", "\n", "\n\n  "]), min_size=1),
    block=st.integers(1, 200),
)
def test_objects_one_after_the_other_are_read_in_all_spacings(
    objects: list[list[dict[str, object]]], gaps: list[str], block: int
) -> None:
    written = [json.dumps(value) for line in objects for value in line]
    content = "".join(text + gaps[index % len(gaps)] for index, text in enumerate(written)).encode()
    for size in (block, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streams, "BLOCK", size)
            assert [original(record).decode().strip() for record in parse("a.json", content)] == written


def test_objects_on_one_long_line_are_each_a_record(feeds: Feeds) -> None:
    written = [json.dumps({"eventId": str(n), "comments": "x" * 50}) for n in range(60_000)]
    for name, content in (("a", "".join(written)), ("b", f"{written[0]}\n" + "".join(written[1:]) + "\n[{}]\n")):
        records = feeds.one(f"{name}.json", content.encode())
        assert texts(records)[: len(written)] == written
        assert not any(problems(records))


def test_a_line_of_several_objects_is_no_record_of_line_delimited_json(feeds: Feeds) -> None:
    assert texts(feeds.one("a.ndjson", f"{READ}{READ}\n".encode())) == [READ + READ]


def test_a_broken_object_on_a_line_of_several_harms_no_other_line(feeds: Feeds) -> None:
    records = feeds.one("a.json", f"{READ}\n{READ} {READ}\n{READ}{{broken\n{READ}\n".encode())
    assert texts(records) == [READ, READ, READ, f"{READ}{{broken", READ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("[,,,,]", [",,,,"], id="commas"),
        pytest.param(f"[,{READ}]", [",", READ], id="before"),
        pytest.param(f"[{READ},,,{READ}]", [READ, ",,", READ], id="between"),
        pytest.param(f"[{READ},]", [READ], id="a last comma"),
        pytest.param(
            "[,", [",", "the file breaks off here and its rest cannot be read: the array is not closed"], id="cut"
        ),
        pytest.param('{"values":[,]}', ['{"values":[,]}'], id="page"),
        pytest.param('{"values":[\n,,\n]}', [",,"], id="page over lines"),
        pytest.param('{"values":[],"error":{"code":503}}', ['"error":{"code":503}'], id="error"),
        pytest.param('{"Errors":["x"],"values":[]}', ['"Errors":["x"]'], id="errors first"),
        pytest.param(f'{{"values":[{READ}],"fault":"half"}}', [READ, '"fault":"half"'], id="beside values"),
        pytest.param('{"values":[],"error":null,"errors":[]}', [], id="none"),
        pytest.param('{"values":[],"errors":[],"error":null}', [], id="null at last"),
        pytest.param('{"error":"x"}', ['{"error":"x"}'], id="no page"),
        pytest.param('"Service Unavailable"', ['"Service Unavailable"'], id="text"),
    ],
)
def test_what_is_no_empty_delivery(feeds: Feeds, content: str, expected: list[str]) -> None:
    assert texts(feeds.one("a.json", content.encode())) == expected


@pytest.mark.parametrize(
    "about",
    [
        pytest.param('"links":{"next":"https://x/y?cur', id="string in an object"),
        pytest.param('"links":{"next":"https://x"}', id="after an object"),
        pytest.param('"next":"https://x/y?cur', id="string"),
        pytest.param('"ids":[1,2', id="array"),
        pytest.param('"totalRecords":1', id="number"),
        pytest.param('"totalRecords":', id="after a name"),
        pytest.param('"error":null', id="no error"),
    ],
)
def test_a_page_that_is_cut_off_in_what_is_about_it_says_so(feeds: Feeds, about: str) -> None:
    cut = "the file breaks off here and its rest cannot be read: the page is not closed"
    assert texts(feeds.one("a.json", f'{{"values":[{READ}],{about}'.encode())) == [READ, cut]


def test_a_large_error_of_a_page_is_kept_as_too_large(tmp_path: Path) -> None:
    records = parse("a.json", ('{"values":[],"error":"' + "x" * 200 + '"}').encode(), limit=50)
    assert problems(records) == ["too_large"]
