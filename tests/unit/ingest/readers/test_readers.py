"""Readers of line-delimited JSON, `.json` and compressed files: every record that came is kept, once, as it came."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from activity_audit.ingest.raw_writer import read_delivery
from activity_audit.ingest.readers import json_text, streams
from activity_audit.ingest.readers.formats import feed_format
from activity_audit.raw.records import KEPT_BYTES
from tests.unit.raw_lake import Feeds, Kept, problems, texts

A, B, C = '{"eventId":"a"}', '{"eventId":"b"}', '{"eventId":"c","x":[1,{"y":"}]"}]}'


def parse(name: str, content: bytes, limit: int = 1 << 20) -> list[Kept]:
    """The records of a delivery by its reader alone, for the many small trials."""
    declared = feed_format(name)
    assert declared is not None
    batches = read_delivery(io.BytesIO(content), len(content), declared, limit, Path("/nowhere"))
    return [Kept(*row.values()) for batch in batches for row in batch.to_pylist()]


def kept(text: str, problem: str | None = None) -> Kept:
    """A record that is kept whole."""
    return Kept(text, problem, None, len(text.encode()), None)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(f"{A}\r\n{B}\r\n", [A, B], id="crlf"),
        pytest.param(f"{A}\r\n{B}\n{C}\r\n", [A, B, C], id="mixed ends"),
        pytest.param(f"{A}\r{B}\r", [A, B], id="carriage returns only"),
        pytest.param(f"{A}\r{B}\n{C}\r\n{A} \r\r {B}\r", [A, B, C, A, B], id="all three ends"),
        pytest.param(f'{{"a":1,\r"b":{{\r}}}}\n{B}', ['{"a":1,\r"b":{\r}}', B], id="carriage returns in an object"),
        pytest.param(f"{A}\rnot json\n{B}", [f"{A}\rnot json", B], id="a carriage return before no object"),
        pytest.param(f"\ufeff{A}\n{B}\n", [A, B], id="byte order mark"),
        pytest.param(f"{A}\n\ufeff{B}\n", [A, "\ufeff" + B], id="byte order mark inside"),
        pytest.param(f"{A}\n{B}", [A, B], id="no last line end"),
        pytest.param(f"{A}\r\n{B}\r", [A, B], id="half a last line end"),
        pytest.param(f"\n\r\n{A}\n \t\v\f \n\n{B}\n\n", [A, B], id="blank lines"),
        pytest.param(f"  {A}\t\n {B} \n {C} ", [f"  {A}\t", f" {B} ", f" {C} "], id="white space is kept"),
        pytest.param('{"a":"x\u2028y\u2029z\x85"}\n' + A, ['{"a":"x\u2028y\u2029z\x85"}', A], id="unicode line ends"),
        pytest.param(f"\x85\n\u2028\n\xa0\n{A}\n", ["\x85", "\u2028", "\xa0", A], id="unicode space is no blank"),
        pytest.param(f'{A}\n{{"a":"\x00"}}\n\x00\n{B}', [A, '{"a":"\x00"}', "\x00", B], id="nul"),
        pytest.param(f"{A}\nnot json\n[]\n1\n{B}\n", [A, "not json", "[]", "1", B], id="no objects"),
        pytest.param('{"a":"\\ud800"}\n' + A, ['{"a":"\\ud800"}', A], id="lone surrogate escape"),
        pytest.param("\n \r\n\t\n", [], id="only blank lines"),
        pytest.param("\ufeff", [], id="only a byte order mark"),
        pytest.param("", [], id="empty"),
    ],
)
@pytest.mark.parametrize("name", ["a.ndjson", "a.JSONL", "a.b.ndjson.gz"])
def test_lines(feeds: Feeds, name: str, content: str, expected: list[str]) -> None:
    data = content.encode()
    assert feeds.one(name, gzip.compress(data) if name.endswith("gz") else data) == [kept(text) for text in expected]


def test_undecodable_bytes_are_kept_and_harm_no_other_line(feeds: Feeds) -> None:
    bad = b'{"eventId":"\xff\xed\xa0\x80"}'
    records = feeds.one("a.ndjson", f"{A}\r\n".encode() + bad + f"\r\n\n{B}\n".encode() + b"\xc3")
    shown = '{"eventId":"\\xff\\xed\\xa0\\x80"}'
    assert records == [
        kept(A),
        Kept(shown, "unparseable", bad, len(bad), None),
        kept(B),
        Kept("\\xc3", "unparseable", b"\xc3", 1, None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,}',
        '{"a":[1,2, ]}',
        '{"a":NaN}',
        '{"a": -Infinity}',
        '{"a":[1,nan]}',
        '{"a":[inf]}',
        '{"a":",","b":1,\t}',
    ],
)
@pytest.mark.parametrize("name", ["a.ndjson", "a.json"])
def test_what_only_duckdb_takes_for_json_is_unparseable(feeds: Feeds, name: str, text: str) -> None:
    harmless = '{"a":",]","b":": NaN, inf"}'
    assert feeds.one(name, f"{A}\n{text}\n{harmless}\n".encode()) == [
        kept(A),
        kept(text, "unparseable"),
        kept(harmless),
    ]
    # Beside an undecodable line, lines are looked at one by one.
    assert parse(name, f"{text}\n{harmless}\n".encode() + b"\xff")[:2] == [kept(text, "unparseable"), kept(harmless)]


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_record_may_be_as_large_as_the_limit(feeds: Feeds, end: str) -> None:
    text = '{"a":"' + "é" * 40 + '"}'
    size = len(text.encode())
    assert feeds.one("fits.ndjson", (text + end).encode(), limit=size) == [kept(text)]
    for block in range(1, size + 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streams, "BLOCK", block)
            assert parse("a.ndjson", (text + end).encode(), limit=size) == [kept(text)]
    (record,) = feeds.one("not.ndjson", (text + end).encode(), limit=size - 1)
    assert record == Kept(text, "too_large", None, size, hashlib.sha256(text.encode()).hexdigest())


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_line_over_many_blocks_keeps_its_head_and_hash(feeds: Feeds, end: bytes) -> None:
    huge = b'{"a":"' + "ü".encode() * (3 << 19) + b'"}'
    records = feeds.one("a.ndjson", A.encode() + end + huge + end + b" " * (2 << 20) + end + B.encode() + end)
    assert records[::2] == [kept(A), kept(B)]
    assert len(records) == 3
    head = huge[:KEPT_BYTES].decode(errors="ignore")
    assert records[1] == Kept(head, "too_large", None, len(huge), hashlib.sha256(huge).hexdigest())


def test_an_undecodable_line_over_the_limit_is_too_large(feeds: Feeds) -> None:
    huge = b"\xff" * 200
    (record, after) = feeds.one("a.ndjson", huge + b"\n" + A.encode(), limit=100)
    assert record == Kept("\\xff" * 200, "too_large", None, 200, hashlib.sha256(huge).hexdigest())
    assert after == kept(A)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.text(), JSON_VALUES, max_size=4)
JUNK = st.binary(min_size=1, max_size=40).filter(lambda b: b"\n" not in b and not b.isspace() and b[-1:] != b"\r")


def as_line(record: Any, ascii_only: bool) -> bytes:
    # surrogatepass: a text with a lone surrogate becomes bytes that are no UTF-8.
    return json.dumps(record, ensure_ascii=ascii_only).encode("utf-8", errors="surrogatepass")


def original(record: Kept) -> bytes:
    """The bytes that a record came as."""
    return record.text.encode() if record.content is None else record.content


@trials(max_examples=75, deadline=None)
@given(
    lines=st.lists(st.builds(as_line, OBJECTS, st.booleans()) | JUNK, max_size=20),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\n\n", b"\n \t\r\n"]), min_size=1),
    block=st.integers(1, 200),
)
def test_lines_come_back_as_they_went(lines: list[bytes], ends: list[bytes], block: int) -> None:
    content = b"\n" + b"".join(line + ends[index % len(ends)] for index, line in enumerate(lines))
    for size in (block, 1 << 20):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(streams, "BLOCK", size)
            records = parse("a.ndjson", content)
        assert [original(record) for record in records] == lines
        assert [record.length for record in records] == [len(line) for line in lines]
        assert all(record.problem for record in records if record.content is not None)


@trials(max_examples=75, deadline=None)
@given(
    records=st.lists(OBJECTS, max_size=12),
    indent=st.sampled_from([None, 1, 4]),
    ascii_only=st.booleans(),
    block=st.integers(1, 300),
    about=st.sampled_from([None, {}, {"links": {"next": None}}, {"page": 2.5e3}, {"more": False}, {"next": None}]),
    end=st.sampled_from(["", "\n"]),
)
def test_documents_come_back_as_they_went(
    records: list[Any], indent: int | None, ascii_only: bool, block: int, about: dict[str, Any] | None, end: str
) -> None:
    value = records if about is None else {"totalRecords": len(records), "values": records, **about}
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only) + end
    content = text.encode("utf-8", errors="surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK", block)
        found = parse("a.json", content)
    decoded = [json.loads(original(record).decode("utf-8", errors="surrogatepass")) for record in found]
    assert decoded == records


@trials(max_examples=75, deadline=None)
@given(
    content=st.lists(
        st.sampled_from([*'{}[],:"\\\n\r -1', "nul", "NaN", '"values":[', A, "\ufeff", '{"a":']) | st.text(max_size=3),
        max_size=40,
    ),
    name=st.sampled_from(["a.json", "a.ndjson", "a.csv", "a.parquet", "a.json.gz", "a.csv.zst"]),
    limit=st.integers(1, 60),
    block=st.integers(1, 50),
)
def test_no_content_raises(content: list[str], name: str, limit: int, block: int) -> None:
    data = "".join(content).encode("utf-8", errors="surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK", block)
        records = parse(name, data, limit)
    for record in records:
        assert (record.problem == "too_large") == (record.sha256 is not None)
        assert record.problem == "too_large" or record.length is None or record.length <= limit


RECORDS = [A, B, C]
PRETTY = json.dumps({"eventId": "p", "x": [1, {"y": 2}]}, indent=2)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(f"[{A}, {B} ,\n {C}]", RECORDS, id="array"),
        pytest.param("\ufeff" + f"[\r\n  {A},\r\n  {B},\r\n  {C}\r\n]\r\n", RECORDS, id="array over lines"),
        pytest.param(f'{{"values":[{A},{B},{C}],"links":{{"next":null}}}}', RECORDS, id="compact page"),
        pytest.param(
            f'{{\n  "totalRecords": 3,\n  "values": [\n    {A},\n    {B},\n    {C}\n  ],\n  "links": {{}}\n}}\n',
            RECORDS,
            id="pretty page",
        ),
        pytest.param(f'{{"values":[{A}]}}\n{{"values":[{B},{C}]}}', RECORDS, id="pages one after the other"),
        pytest.param(f"[{A}]\n[{B},{C}]", RECORDS, id="arrays one after the other"),
        pytest.param(
            f'{{"values":[{A}],"total":3}}\n{{"values":[{B}],"more":true}}{{"values":[{C}],"next":null }}\n',
            RECORDS,
            id="pages that end in a plain value",
        ),
        pytest.param('{"values":[]}', [], id="empty page"),
        pytest.param('{"values":[],"totalRecords":0}\n', [], id="empty page with its total"),
        pytest.param(f"{A}\n\n{B}\n{C}", RECORDS, id="one a line"),
        pytest.param(PRETTY, [PRETTY], id="one pretty record"),
        pytest.param(f"{PRETTY}\n{PRETTY}\n", [PRETTY, PRETTY], id="pretty records"),
        pytest.param(A, [A], id="one record"),
        pytest.param('{"eventId":"v","values":[{"a":1}]}', ['{"eventId":"v","values":[{"a":1}]}'], id="no page"),
        pytest.param("[]", [], id="empty array"),
        pytest.param(" \n", [], id="blank"),
        pytest.param(
            '[1,"x, ]",null,true,[2,[3]],-0.5e3]', ["1", '"x, ]"', "null", "true", "[2,[3]]", "-0.5e3"], id="x"
        ),
        pytest.param('[{"a":"\u2028é"},{"b":"\\ud800"}]', ['{"a":"\u2028é"}', '{"b":"\\ud800"}'], id="text"),
    ],
)
def test_documents(feeds: Feeds, content: str, expected: list[str]) -> None:
    assert feeds.one("a.json", content.encode()) == [kept(text) for text in expected]


@pytest.mark.parametrize(
    ("content", "before"),
    [
        pytest.param(f"[{A},{B}", [A, B], id="never closed"),
        pytest.param(f"[{A},{B},", [A, B], id="ends after a comma"),
        pytest.param(f'[{A},{B},{{"eventId":"c', [A, B], id="ends in a record"),
        pytest.param(f'{{"values":[{A},{B},{{"eventId":"c', [A, B], id="page ends in a record"),
        pytest.param(f'{{"values":[{A},{B}', [A, B], id="page never closed"),
        pytest.param(f"[{A},{B}] trailing", [A, B], id="garbage after it"),
        pytest.param(f"[{A},{B},{{]", [A, B], id="an unclosed record"),
    ],
)
def test_what_comes_before_the_break_is_kept(feeds: Feeds, content: str, before: list[str]) -> None:
    records = feeds.one("a.json", content.encode())
    assert records[: len(before)] == [kept(text) for text in before]
    assert problems(records[len(before) :]) == ["unparseable"] or texts(records[len(before) :]) == ["trailing"]


def test_a_broken_record_does_not_swallow_the_next(feeds: Feeds) -> None:
    broken = '{"eventId": "never closed, }'
    records = feeds.one("a.json", f"[\n  {A},\n  {broken},\n  {B},\n  {C}\n]".encode())
    assert texts(records) == [A, broken, B, C]
    assert problems(records) == [None, "unparseable", None, None]


def test_a_broken_record_of_a_page_on_one_line_costs_no_other(feeds: Feeds) -> None:
    broken = '{"eventId": tru}'
    page = f'{{"totalRecords":3,"links":{{"next":null}},"values":[{A},{broken},{B}]}}'
    assert texts(feeds.one("a.json", f"{page}\n{page}".encode())) == [A, broken, B] * 2
    record = f'{{"eventId":"c","values":[{A},{broken}]}}'
    assert texts(feeds.one("b.json", record.encode())) == [record]


def test_garbage_is_kept(feeds: Feeds) -> None:
    assert texts(feeds.one("a.json", b"<html>\nno service\n</html>")) == ["<html>", "no service", "</html>"]
    (record,) = feeds.one("b.json", b"\xff\xff[")
    assert (record.problem, record.content) == ("unparseable", b"\xff\xff[")


def test_an_undecodable_element_keeps_its_bytes(feeds: Feeds) -> None:
    bad = b'{"eventId":"\xff"}'
    records = feeds.one("a.json", b"[" + A.encode() + b"," + bad + b"," + B.encode() + b"]")
    assert texts(records) == [A, '{"eventId":"\\xff"}', B]
    assert (records[1].problem, records[1].content) == ("unparseable", bad)


def test_an_oversized_element(feeds: Feeds) -> None:
    huge = '{"a":"' + "x" * (5 << 19) + '","b":[{}]}'
    records = feeds.one("a.json", f"[{A},{huge},{B}]".encode())
    assert records[0::2] == [kept(A), kept(B)]
    digest = hashlib.sha256(huge.encode()).hexdigest()
    assert records[1] == Kept(huge[:KEPT_BYTES], "too_large", None, len(huge), digest)


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
MANY = [json.dumps({"eventId": hashlib.sha256(bytes([n % 256, n // 256])).hexdigest()}) for n in range(4000)]
MANY_LINES = "".join(f"{line}\n" for line in MANY).encode()


@pytest.mark.parametrize("ending", COMPRESS)
class TestCompression:
    def test_whole(self, feeds: Feeds, ending: str) -> None:
        assert texts(feeds.one(f"a.ndjson.{ending}", COMPRESS[ending](MANY_LINES))) == MANY

    def test_several_members(self, feeds: Feeds, ending: str) -> None:
        half = len(MANY_LINES) // 2 + 7
        members = COMPRESS[ending](MANY_LINES[:half]) + COMPRESS[ending](b"") + COMPRESS[ending](MANY_LINES[half:])
        assert texts(feeds.one(f"a.ndjson.{ending}", members)) == MANY

    @pytest.mark.parametrize("suffix", ["ndjson", "json", "csv"])
    def test_truncated(self, feeds: Feeds, ending: str, suffix: str) -> None:
        content = MANY_LINES if suffix != "csv" else b"eventId,n\n" + b"".join(b"%d,1\n" % n for n in range(100_000))
        data = COMPRESS[ending](content)
        records = feeds.one(f"a.{suffix}.{ending}", data[: len(data) * 2 // 3])
        assert len(records) > 100
        assert "breaks off here" in records[-1].text
        assert records[-1].problem == "unparseable"
        # Only the record that the break has cut may be a problem besides.
        assert not any(problems(records[:-2]))
        assert texts(records[:-2]) == texts(parse(f"a.{suffix}", content))[: len(records) - 2]

    def test_corrupt(self, feeds: Feeds, ending: str) -> None:
        data = bytearray(COMPRESS[ending](MANY_LINES))
        middle = len(data) // 2
        data[middle : middle + 64] = bytes(64)
        records = feeds.one(f"a.ndjson.{ending}", bytes(data))
        assert records
        assert "breaks off here" in records[-1].text
        assert records[-1].problem == "unparseable"

    def test_not_compressed_at_all(self, feeds: Feeds, ending: str) -> None:
        assert feeds.one(f"a.ndjson.{ending}", A.encode()) == [kept(A, "unparseable")]

    def test_empty(self, feeds: Feeds, ending: str) -> None:
        assert feeds.one(f"a.ndjson.{ending}", b"") == []
        assert feeds.one(f"b.ndjson.{ending}", COMPRESS[ending](b"")) == []

    def test_byte_order_mark(self, feeds: Feeds, ending: str) -> None:
        assert feeds.one(f"a.ndjson.{ending}", COMPRESS[ending](f"\ufeff{A}".encode())) == [kept(A)]

    def test_garbage_after_the_end(self, feeds: Feeds, ending: str) -> None:
        records = feeds.one(f"a.ndjson.{ending}", COMPRESS[ending](f"{A}\n".encode()) + b"garbage")
        assert records[0] == kept(A)
        assert problems(records) == [None, "unparseable"]


@pytest.mark.parametrize("space", [0, json_text._SHORT])
def test_short_and_long_texts_are_suspected_alike(space: int) -> None:
    lenient = [b'{"a":NaN}', b'{"a":1,}', b'{"a": -inf}', b"[1,\n]", b"[nan]", b'{"a":[1, -Infinity]}', b'{"a":\xff,}']
    strict = [b'{"a":1,"b":[2]}', b'{"a":"n","b":null}', b'{"a":"infinite"}', b"", b"\xff"]
    found = [[json_text.may_be_lenient(text + b" " * space) for text in texts] for texts in (lenient, strict)]
    assert found == [[True] * len(lenient), [False] * len(strict)]
