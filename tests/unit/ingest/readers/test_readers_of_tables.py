"""Readers of CSV and Parquet: every row is a JSON object under the header's names, or is kept as it came."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from activity_audit.ingest.raw_writer import read_delivery
from activity_audit.ingest.readers import read_csv as csv_reader
from activity_audit.ingest.readers import streams
from activity_audit.ingest.readers.formats import feed_format
from activity_audit.raw.records import KEPT_BYTES
from tests.unit.raw_lake import Feeds, Kept, problems, texts


def parse(content: bytes, limit: int = 1 << 20) -> list[Kept]:
    """The records of a CSV file by its reader alone, for the many small trials."""
    declared = feed_format("a.csv")
    assert declared is not None
    batches = read_delivery(io.BytesIO(content), len(content), declared, limit, Path("/nowhere"))
    return [Kept(*row.values()) for batch in batches for row in batch.to_pylist()]


def row(*values: str, names: Sequence[str] = ("entity", *"bcdef")) -> str:
    """A row as it is kept."""
    return json.dumps(dict(zip(names, values, strict=False)), ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("entity,b\n1,2\n3,4\n", [row("1", "2"), row("3", "4")], id="plain"),
        pytest.param("entity,b\r\n1,2\r\n\r\n3,4", [row("1", "2"), row("3", "4")], id="crlf"),
        pytest.param("entity,b\r1,2\r3,4\r", [row("1", "2"), row("3", "4")], id="carriage returns only"),
        pytest.param("\ufeffentity,b\n1,2\n", [row("1", "2")], id="byte order mark"),
        pytest.param("\n\nentity,b\n\n1,2\n \n\n3,4\n\n", [row("1", "2"), row("3", "4")], id="blank lines"),
        pytest.param('entity,b\n"x, ""y""",é\n', [row('x, "y"', "é")], id="quotes"),
        pytest.param(
            'entity,b\n"1\n2\n\n3",4\r\n5,"6\r\n7"\r\n', [row("1\n2\n\n3", "4"), row("5", "6\r\n7")], id="newlines"
        ),
        pytest.param("entity;b\n1,5;2\n", [row("1,5", "2")], id="semicolons"),
        pytest.param("entity\tb\n1\t2\n", [row("1", "2")], id="tabs"),
        pytest.param("entity|b\n1|2\n", [row("1", "2")], id="bars"),
        pytest.param('"entity,b";entity\n1;2\n', ['{"entity,b":"1","entity":"2"}'], id="delimiter in a quoted name"),
        pytest.param('"a\nb",entity\n1,2\n', ['{"a\\nb":"1","entity":"2"}'], id="line end in a name"),
        pytest.param(
            "entity,entity,b,entity\n1,2,3,4\n",
            ['{"entity":"1","entity (2)":"2","b":"3","entity (3)":"4"}'],
            id="names twice",
        ),
        pytest.param("entity,,\n1,2,3\n", ['{"entity":"1","":"2"," (2)":"3"}'], id="no names"),
        pytest.param("entity\n1\n2\n", ['{"entity":"1"}', '{"entity":"2"}'], id="one column"),
        pytest.param("entity,b\n,\n", [row("", "")], id="empty fields"),
        pytest.param("entity,b\nnull,NaN\nNA,\\N\n", [row("null", "NaN"), row("NA", "\\N")], id="all is text"),
        pytest.param("entity,b\n 1 ,\t2\n", [row(" 1 ", "\t2")], id="white space is kept"),
        pytest.param("entity,b\nx\x00y,z\x85\u2028\n", [row("x\x00y", "z\x85\u2028")], id="nul and unicode line ends"),
        pytest.param("entity,b\n", [], id="header only"),
        pytest.param("entity,b", [], id="header without a line end"),
        pytest.param("", [], id="empty"),
        pytest.param("\n\n", [], id="blank"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.CSV.gz"])
def test_rows(feeds: Feeds, name: str, content: str, expected: list[str]) -> None:
    data = content.encode()
    records = feeds.one(name, gzip.compress(data) if name.endswith("gz") else data)
    assert texts(records) == expected
    assert not any(problems(records))


@pytest.mark.parametrize("around", [1, 100], ids=["few rows", "many rows"])
class TestRowsThatDoNotFit:
    """Among few rows each is read by itself; runs of many are read in bulk."""

    def check(self, feeds: Feeds, around: int, lines: list[str], expected: list[tuple[str, str | None]]) -> None:
        before = [f"{n},x" for n in range(around)]
        after = [f"{n},y" for n in range(around)]
        content = "\n".join(["entity,b", *before, *lines, *after])
        records = feeds.one("a.csv", content.encode())
        assert texts(records) == [
            *[row(str(n), "x") for n in range(around)],
            *[text for text, _ in expected],
            *[row(str(n), "y") for n in range(around)],
        ]
        assert problems(records[around:-around]) == [problem for _, problem in expected]
        assert not any(problems(records[:around] + records[-around:]))

    def test_too_few_and_too_many_fields(self, feeds: Feeds, around: int) -> None:
        lines = ["1", "1,2,3", "1,", ",,"]
        bad = "unparseable"
        self.check(feeds, around, lines, [("1", bad), ("1,2,3", bad), (row("1", ""), None), (",,", bad)])

    def test_an_unclosed_quote(self, feeds: Feeds, around: int) -> None:
        self.check(feeds, around, ['1,"never closed'], [('1,"never closed', "unparseable")])

    def test_text_after_a_quote(self, feeds: Feeds, around: int) -> None:
        self.check(feeds, around, ['"1"x,2'], [('"1"x,2', "unparseable")])

    def test_a_quote_inside_a_field(self, feeds: Feeds, around: int) -> None:
        self.check(feeds, around, ['5" disk,2'], [(row('5" disk', "2"), None)])


def test_an_undecodable_row_keeps_its_bytes(feeds: Feeds) -> None:
    bad = b'"\xff",2'
    many = b"".join(b"%d,x\n" % n for n in range(50))
    records = feeds.one("a.csv", b"entity,b\n" + many + bad + b"\r\n" + many)
    assert len(records) == 101
    assert records[50] == Kept('"\\xff",2', "unparseable", bad, len(bad), None)
    assert texts(records[:50]) == texts(records[51:]) == [row(str(n), "x") for n in range(50)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_may_be_as_large_as_the_limit(feeds: Feeds, end: str) -> None:
    line = '1,"' + "x" * 60 + '"'
    content = f"entity,b{end}{line}{end}3,4{end}".encode()
    fits = feeds.one("fits.csv", content, limit=len(line))
    assert texts(fits) == [row("1", "x" * 60), row("3", "4")]
    assert [record.length for record in fits] == [len(line), 3]
    large, after = feeds.one("not.csv", content, limit=len(line) - 1)
    assert large == Kept(line, "too_large", None, len(line), hashlib.sha256(line.encode()).hexdigest())
    assert after == Kept(row("3", "4"), None, None, 3, None)


@pytest.mark.parametrize("inside", ["x" * 80, "x\n" * 40], ids=["one line", "many lines"])
def test_an_oversized_row_over_blocks(feeds: Feeds, inside: str) -> None:
    huge = '1,"' + inside * (3 << 13) + '"'
    large, after = feeds.one("a.csv", f"entity,b\n{huge}\n3,4\n".encode(), limit=1 << 17)
    digest = hashlib.sha256(huge.encode()).hexdigest()
    assert large == Kept(huge[:KEPT_BYTES], "too_large", None, len(huge), digest)
    assert after.text == row("3", "4")


def test_unclosed_quotes_take_no_time_that_grows_with_the_square() -> None:
    lines = [f'{n},"open' if n % 2 else f"{n},x" for n in range(20_000)]
    records = parse("\n".join(["entity,b", *lines]).encode())
    assert sum(record.text.count("\n") + record.text.count("\\n") + 1 for record in records) == len(lines)


FIELDS = st.text(st.characters(codec="utf-8"), max_size=8) | st.text('a",;\n\r \\', max_size=5)


def written(rows: list[list[str]], delimiter: str, end: str, quoting: int) -> bytes:
    target = io.StringIO(newline="")
    csv.writer(target, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return target.getvalue().encode()


@trials(max_examples=75, deadline=None)
@given(
    rows=st.lists(st.lists(FIELDS, min_size=3, max_size=3).filter(lambda r: any(f.strip() for f in r)), max_size=12),
    delimiter=st.sampled_from(",;\t|"),
    # Python's writer leaves a carriage return unquoted where it ends no line.
    end_and_quoting=st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]),
    shortest_run=st.sampled_from([1, 3, 1000]),
    block=st.sampled_from([1, 7, 64, 1 << 20]),
)
def test_rows_come_back_as_they_went(
    rows: list[list[str]], delimiter: str, end_and_quoting: tuple[str, int], shortest_run: int, block: int
) -> None:
    content = written([["entity", "b", "c"], *rows], delimiter, *end_and_quoting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_reader, "_SHORTEST_RUN", shortest_run)
        patch.setattr(streams, "BLOCK", block)
        records = parse(content)
    assert [list(json.loads(record.text).values()) for record in records] == rows
    assert not any(problems(records))


@trials(max_examples=100, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(
            [b"1,2", b'"1",2', b"1", b'1,"', b'",2', b"", b" ", b'1,"x""y"', b"\xff,1", b"1,2,3", b"\r", b'\\,"']
        ),
        max_size=30,
    ),
    block=st.sampled_from([1, 5, 1 << 20]),
    limit=st.sampled_from([6, 1 << 20]),
)
def test_reading_in_bulk_gives_what_reading_row_by_row_gives(lines: list[bytes], block: int, limit: int) -> None:
    content = b"\n".join([b"entity,b", *lines])
    found = []
    for shortest_run in (1, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_reader, "_SHORTEST_RUN", shortest_run)
            patch.setattr(streams, "BLOCK", block)
            found.append(parse(content, limit))
    assert found[0] == found[1]


def parquet(table: pa.Table, **options: Any) -> bytes:
    target = pa.BufferOutputStream()
    pq.write_table(table, target, **options)
    return target.getvalue().to_pybytes()


def test_parquet_columns_of_many_types(feeds: Feeds) -> None:
    time = dt.datetime(2026, 5, 1, 10, 15, 0, 123456, dt.UTC)
    table = pa.table(
        {
            "text": pa.array(['a"\n\\', None]),
            "whole": pa.array([2**53 + 1, None], pa.int64()),
            "time": pa.array([time.replace(tzinfo=None), None], pa.timestamp("us")),
            "utc": pa.array([time, None], pa.timestamp("us", "UTC")),
            "offset": pa.array([time, None], pa.timestamp("us", "Europe/Berlin")),
            "day": pa.array([time.date(), None]),
            "flag": pa.array([True, None]),
            "decimal": pa.array([Decimal("1.20"), None]),
            "list": pa.array([[1, 2], None]),
            "struct": pa.array([{"x": "y"}, None]),
            "category": pa.array(["k", None]).dictionary_encode(),
            "null": pa.nulls(2),
        }
    )
    first, second = feeds.one("a.parquet", parquet(table))
    assert json.loads(first.text) == {
        "text": 'a"\n\\',
        "whole": "9007199254740993",
        "time": "2026-05-01T10:15:00.123456",
        "utc": "2026-05-01T10:15:00.123456Z",
        "offset": "2026-05-01T10:15:00.123456Z",
        "day": "2026-05-01",
        "flag": "true",
        "decimal": "1.20",
        "list": [1, 2],
        "struct": {"x": "y"},
        "category": "k",
        "null": None,
    }
    assert json.loads(second.text) == dict.fromkeys(table.column_names)


@pytest.mark.parametrize("name", ["a.parquet", "a.parquet.gz"])
def test_parquet_keeps_the_order_over_row_groups(feeds: Feeds, name: str) -> None:
    data = parquet(pa.table({"n": [str(n) for n in range(5000)]}), row_group_size=37)
    records = feeds.one(name, gzip.compress(data) if name.endswith("gz") else data)
    assert texts(records) == [f'{{"n":"{n}"}}' for n in range(5000)]


def test_parquet_without_rows_or_columns(feeds: Feeds) -> None:
    assert feeds.one("a.parquet", parquet(pa.table({"n": pa.array([], pa.string())}))) == []
    assert feeds.one("b.parquet", b"") == []


def test_parquet_names_twice(feeds: Feeds) -> None:
    table = pa.Table.from_arrays([pa.array(["1"]), pa.array(["2"])], names=["n", "n"])
    assert texts(feeds.one("a.parquet", parquet(table))) == ['{"n":"1","n (2)":"2"}']


def test_parquet_bytes_that_are_no_text(feeds: Feeds) -> None:
    good, bad = feeds.one("a.parquet", parquet(pa.table({"n": pa.array([b"ok", b"\xff"])})))
    assert (good.text, good.problem) == ('{"n":"ok"}', None)
    assert (bad.text, bad.problem, bad.content) == ('{"n":"\\xff"}', "unparseable", b'{"n":"\xff"}')


def test_parquet_rows_over_the_limit(feeds: Feeds) -> None:
    records = feeds.one("a.parquet", parquet(pa.table({"n": ["x", "x" * 100, "y"]})), limit=50)
    assert problems(records) == [None, "too_large", None]
    assert records[1].length == 108


def test_a_parquet_file_that_is_none_is_one_record(feeds: Feeds) -> None:
    whole = parquet(pa.table({"n": ["1", "2"]}))
    (record,) = feeds.one("a.parquet", whole[:-1])
    assert (record.problem, record.content) == ("unparseable", whole[:-1])
    (record,) = feeds.one("b.parquet", b"not parquet")
    assert record == Kept("not parquet", "unparseable", None, 11, None)
    (record,) = feeds.one("c.parquet", b"x" * 300, limit=100)
    assert record == Kept("x" * 300, "too_large", None, 300, hashlib.sha256(b"x" * 300).hexdigest())


def test_a_damaged_row_group_costs_no_other(feeds: Feeds) -> None:
    values = [hashlib.sha256(bytes([n])).hexdigest() for n in range(90)]
    data = bytearray(
        parquet(pa.table({"n": values}), row_group_size=30, write_page_checksum=True, use_dictionary=False)
    )
    column = pq.ParquetFile(pa.BufferReader(bytes(data))).metadata.row_group(1).column(0)
    middle = column.data_page_offset + column.total_compressed_size // 2
    data[middle] ^= 0xFF
    records = feeds.one("a.parquet", bytes(data))
    assert texts(records[:30]) == [f'{{"n":"{value}"}}' for value in values[:30]]
    assert texts(records[-30:]) == [f'{{"n":"{value}"}}' for value in values[60:]]
    assert problems(records[30:-30]) == ["unparseable"] * 30
    assert records[30].text.startswith("row 1 of row group 2 is damaged (n: ")
