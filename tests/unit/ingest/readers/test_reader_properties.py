"""Attacks on the readers: whatever came must be found again, once, with little time and memory."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
import re
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import settings as trials
from hypothesis import strategies as st

from activity_audit.ingest.raw_writer import read_delivery
from activity_audit.ingest.readers import json_values, streams
from activity_audit.ingest.readers.csv_lines import Lines
from activity_audit.ingest.readers.csv_rows import read_header
from activity_audit.ingest.readers.formats import feed_format
from activity_audit.ingest.readers.line_blobs import line_blobs
from activity_audit.raw import records

LIMIT = 1 << 20
Row = dict[str, Any]


def batches(name: str, stream: Any, limit: int = LIMIT) -> Iterator[pa.RecordBatch]:
    declared = feed_format(name)
    assert declared is not None
    return read_delivery(stream, 1, declared, limit, Path("/nowhere"))


def parse(name: str, content: bytes, limit: int = LIMIT, block: int = streams.BLOCK) -> list[Row]:
    """The records of a delivery, read in blocks of this size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK", block)
        return [row for batch in batches(name, io.BytesIO(content), limit) for row in batch.to_pylist()]


def texts(rows: Iterable[Row]) -> list[str]:
    return [row["record"] for row in rows]


# --- damaged JSON

PIECES = ["{", "}", "[", "]", ",", ":", "\n", '"', "\\", '{"k":', "},\n{", "\n{", "[{", " ", "\n  ", "tru", "1", "\r"]


@trials(max_examples=150, deadline=None)
@given(
    parts=st.lists(st.sampled_from([*PIECES, "TOKEN", "TOKEN", "TOKEN"]), max_size=50),
    head=st.sampled_from(["", "[", "[\n", '[{"a":1},\n']),
    block=st.sampled_from([1, 5, 31]),
    patience=st.sampled_from([4 << 20, 20, 0]),
)
@example(["{", ",", "{"], "[", 1, 4 << 20)
def test_every_part_of_damaged_json_is_in_one_record(parts: list[str], head: str, block: int, patience: int) -> None:
    numbers = itertools.count(1000)
    body = "".join(f'"t{next(numbers)}"' if part == "TOKEN" else part for part in parts)
    content = (head + body).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_values, "_PATIENCE", patience)
        rows = parse("a.json", content)
        assert parse("a.json", content, block=block) == rows
    found = re.findall(r"t\d{4}", " ".join(texts(rows)))
    assert found == re.findall(r"t\d{4}", body)
    assert all(text.strip() for text in texts(rows))


DAMAGES: list[Callable[[str], str]] = [
    lambda text: text[:-1],
    lambda text: text[1:],
    lambda text: text + "}",
    lambda text: text[: len(text) // 2],
    lambda text: text.replace('"eventId"', '"eventId', 1),
    lambda text: text.replace('"', "", 1),
    lambda text: text.replace(":", " ", 1),
    lambda text: text[:-1] + ",}",
    lambda text: text[:-1] + ', "n": NaN}',
    lambda text: text[:-1] + ', "list": [1, 2}',
    lambda text: text[:-1] + ', "text": "two\nlines"}',
    lambda text: text[:-1] + ', "text": "never closed}',
    lambda text: "garbage",
]


@trials(max_examples=100, deadline=None)
@given(
    damages=st.lists(st.sampled_from([None, None, *DAMAGES]), min_size=1, max_size=10),
    frame=st.sampled_from([("[\n", "\n]"), ("[", "]"), ('{"values": [\n', "\n]}"), ("", "")]),
    indent=st.sampled_from([0, 2]),
    block=st.sampled_from([1, 7, 1 << 20]),
)
@example([DAMAGES[4], None], ("", ""), 2, 1)
def test_a_damaged_record_costs_no_other(damages: list[Any], frame: tuple[str, str], indent: int, block: int) -> None:
    whole = [f'{{"eventId": "e{n}", "x": {{"y": [{n}]}}}}' for n in range(len(damages))]
    lines = [damage(text) if damage else text for damage, text in zip(damages, whole, strict=True)]
    separator = ",\n" if frame[0] else "\n"
    content = frame[0] + separator.join(" " * indent + line for line in lines) + frame[1]
    found = [text.strip(" ") for text in texts(parse("a.json", content.encode(), block=block))]
    for damage, text in zip(damages, whole, strict=True):
        if damage is None:
            assert found.count(text) == 1, content


# --- JSON that DuckDB would take and the standard does not

JSON_PIECES = ["{", "}", "[", "]", ",", ":", '"eventId"', '"a"', '"nan, inf,}"', '"\\""', "1", "-", "null", "true", " "]
JSON_PIECES += [
    "NaN",
    "nan",
    "-inf",
    "Infinity",
    '"',
    "\\",
    "\t",
    "\x0b",
    "1e999",
    "9" * 5000,
    '"\\ud800"',
    '"\\u0000"',
]
SOUP = st.lists(st.sampled_from(JSON_PIECES), max_size=12).map("".join)
MEMBER = SOUP.map(lambda soup: '{"a":' + soup + "}")


def is_object(text: str) -> bool:
    """By the standard, as Python reads it, but with numbers of any length."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        return isinstance(json.loads(text, parse_constant=refuse, parse_int=str), dict)
    except (ValueError, RecursionError):
        return False


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


@trials(max_examples=100, deadline=None)
@given(lines=st.lists(SOUP | MEMBER, max_size=8), beside=st.sampled_from([b"", b"\n\xff"]))
@example(['{"a":nan}', '{"a":[-Inf]}', '{"a":1,}', '{"a":[1 , ]}', '{"a":",}nan","b":1}', '{"nan":"x,]"}'], b"")
@example(['{"a":"\\ud800"}', '{"a":' + "9" * 5000 + "}", '{"a":"\\u0000"}'], b"")
def test_what_is_taken_for_an_object_is_one_by_the_standard(
    connection: duckdb.DuckDBPyConnection, lines: list[str], beside: bytes
) -> None:
    for row in parse("a.ndjson", "\n".join(lines).encode() + beside):
        # All that is done with a record further down; none of it may fail.
        answer = connection.execute(
            """
            select case when json_valid(record) then json_type(record) = 'OBJECT'
                and len(json_keys(record)) >= 0
                and nfc_normalize(trim(json_extract_string(record, ['$."eventId"', '$."a"'])[1])) is distinct from 'x'
            end from (select $1::varchar as record)
            """,
            [row["record"]],
        ).fetchone()
        assert answer is not None
        taken = row["problem"] is None and bool(answer[0])
        # DuckDB refuses half a surrogate pair, which Python takes.
        assert taken == is_object(row["record"]) or ("\\ud8" in row["record"] and not taken), row


# --- broken compression

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda content: gzip.compress(content, mtime=0),
    "zst": lambda content: zstandard.ZstdCompressor(write_checksum=True).compress(content),
}
LINES = [b'{"eventId":"%d","x":"%d"}' % (n, random.Random(n).getrandbits(60)) for n in range(40)]


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_stream_cut_anywhere_keeps_what_came_before(ending: str) -> None:
    content = b"\n".join(LINES) + b"\n"
    data = COMPRESS[ending](content)
    longest = 0
    for size in range(1, len(data)):
        *kept, last = parse(f"a.ndjson.{ending}", data[:size])
        assert last["record"].startswith("the file breaks off here")
        assert last["problem"] == "unparseable"
        assert content.decode().startswith("\n".join(texts(kept)))
        longest = max(longest, len(kept))
    assert longest == len(LINES)


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_wrong_checksum_loses_nothing_and_is_noticed(ending: str) -> None:
    data = bytearray(COMPRESS[ending](b"\n".join(LINES) + b"\n"))
    data[-5 if ending == "gz" else -1] ^= 1
    rows = parse(f"a.ndjson.{ending}", bytes(data))
    assert texts(rows[:-1]) == [line.decode() for line in LINES]
    assert rows[-1]["problem"] == "unparseable"


def test_padding_and_skippable_frames_are_no_content() -> None:
    frame = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    assert texts(parse("a.ndjson.gz", COMPRESS["gz"](b"{}") + bytes(50))) == ["{}"]
    assert texts(parse("a.ndjson.zst", frame + COMPRESS["zst"](b"{}") + frame)) == ["{}"]


def test_much_padding_takes_little_time() -> None:
    """Of a sparse file it may be gigabytes, which cost who made it nothing."""

    class Counting(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.reads += 1
            return super().read(size)

    for ending, expected in ((b"", ["{}"]), (COMPRESS["gz"](b"\n[]"), ["{}", "[]"])):
        stream = Counting(COMPRESS["gz"](b"{}") + bytes(8 << 20) + ending)
        found = [row for batch in batches("a.ndjson.gz", stream) for row in batch.to_pylist()]
        assert texts(found) == expected
        assert stream.reads < 10_000


# --- damaged Parquet


PARQUET_OPTIONS: list[dict[str, Any]] = [
    {},
    {"use_dictionary": False, "data_page_version": "2.0"},
    {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}, "compression": "zstd"},
]


def test_no_damage_to_a_parquet_file_raises() -> None:
    table = pa.table({"n": [1, None, 3], "text": ["a", "b", None], "list": [[1], None, []]})
    files = []
    for options in PARQUET_OPTIONS:
        target = io.BytesIO()
        pq.write_table(table, target, row_group_size=2, **options)
        files.append(target.getvalue())
    chance = random.Random(1)
    for number in range(1200):
        data = bytearray(files[number % len(files)])
        for _ in range(chance.choice([1, 1, 2, 8])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        assert parse("a.parquet", bytes(data[: chance.randrange(len(data)) if chance.random() < 0.2 else None]))


# --- failing disks, memory and time


class Stream(io.RawIOBase):
    """The parts one after the other; behind the last one the disk fails, if it is told to."""

    def __init__(self, parts: Iterable[bytes], fails: bool = False) -> None:
        self._parts = iter(parts)
        self._ready = bytearray()
        self._fails = fails

    def seek(self, *_: int) -> int:
        return 0

    def read(self, size: int = -1) -> bytes:
        while len(self._ready) < size and (part := next(self._parts, b"")):
            self._ready += part
        if self._fails and not self._ready:
            raise OSError(5, "Input/output error")
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data


@pytest.mark.parametrize("name", ["a.ndjson", "a.json", "a.csv"])
def test_a_failing_disk_is_no_broken_file(name: str) -> None:
    with pytest.raises(OSError, match="Input/output error"):
        list(batches(name, Stream([b"entity,b\n" * 1000], fails=True)))


@pytest.mark.parametrize("reads", [0, 1, 3, 5])
def test_a_failing_disk_is_no_broken_parquet_file(reads: int) -> None:
    class Failing(io.BytesIO):
        left = reads

        def read(self, size: int | None = -1) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise OSError(5, "Input/output error")
            return super().read(size)

    target = io.BytesIO()
    pq.write_table(pa.table({"n": [str(n) for n in range(5000)]}), target, row_group_size=500)
    failing = Failing(target.getvalue())
    failing.left += 1
    with pytest.raises(OSError, match="Input/output error"):
        list(batches("a.parquet", failing))


ELEMENT = b'{"eventId":"%s","comments":"%s"},\n' % (b"e" * 32, b"c" * 200)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        pytest.param("a.json", itertools.chain([b"["], itertools.repeat(ELEMENT * 100, 500), [b"{}]"]), id="array"),
        pytest.param("a.json", itertools.chain([b'[{"a":"'], itertools.repeat(b"x" * 65536, 800)), id="element"),
        pytest.param("a.ndjson", itertools.repeat(b"x" * 65536, 800), id="line"),
        pytest.param("a.ndjson", itertools.repeat(b" " * 65536, 800), id="blank line"),
        pytest.param("a.csv", itertools.chain([b"entity,b\n1,"], itertools.repeat(b"x" * 65536, 800)), id="row"),
        pytest.param(
            "a.csv",
            itertools.chain([b'entity,b\n1,"'], itertools.repeat((b"x" * 127 + b"\n") * 512, 400)),
            id="long row",
        ),
        pytest.param("a.csv", itertools.repeat(b"a" * 65536, 800), id="header"),
    ],
)
def test_a_delivery_of_any_size_takes_little_memory(name: str, parts: Iterable[bytes]) -> None:
    tracemalloc.start()
    for _ in batches(name, Stream(parts), 1 << 18):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20


def test_a_header_that_never_closes_takes_little_memory() -> None:
    stream = Stream(itertools.chain([b'"'], itertools.repeat(b"x" * (100 << 10) + b"\n", 200)))
    tracemalloc.start()
    lines = Lines(line_blobs(streams.Blocks(stream), 1 << 18, b"\n"), b"\n")  # type: ignore[arg-type]
    assert read_header(lines, 1 << 18).names == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20


HARMLESS = b"aaaaaaaa,bbbbbbbb,cccccccc\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("a.csv", b"entity,b,c\n" + b'b","c\n' * 60_000, id="rows that close and open a quote"),
        pytest.param("a.csv", b"entity,b,c\n" + b'"x,y\n' * 30_000, id="rows that open a quote"),
        pytest.param("a.csv", b"entity,b,c\n" + (b'"x\n' + HARMLESS * 500) * 60, id="now and then an open quote"),
        pytest.param("a.csv", b"entity,b,c\n" + b'a"b,c"d,e"f\n' * 30_000, id="stray quotes"),
        pytest.param("a.csv", b"entity,b,c\n" + (HARMLESS * 50 + b'a,"b\nc",d\n') * 1000, id="rows of two lines"),
        pytest.param("a.json", b"[" + b'{"a":{\n' * 60_000, id="open objects"),
        pytest.param("a.json", b"[" + b'{"a":{' * 60_000, id="open objects on one line"),
        pytest.param("a.json", b"[" + b'{"a":"x\n' * 60_000, id="open strings"),
        pytest.param("a.json", b"[" + b'{"a":"x,' * 60_000, id="open strings on one line"),
        pytest.param("a.json", b"[{" + b"[" * 200_000 + b"}" * 200_000, id="brackets that do not match"),
        pytest.param("a.json", b"[" + b'{"a":[\n{},\n' * 100_000, id="open arrays between records"),
        pytest.param("a.json", b"[" + b'{"a": tru, "b": [1, {"c": 2}]},\n' * 30_000, id="wrong records"),
        pytest.param("a.json", b'{"a":1\n' + b'{"a": tru}\n' * 60_000, id="wrong documents"),
        pytest.param("a.json", b'{"a":[' + b'"x\\"values\\":[",' * 30_000, id="pages in strings"),
        pytest.param("a.ndjson", b'{"a":nan,"b":"' + b'\\"' * 80_000, id="quotes in a string that never closes"),
    ],
)
def test_no_content_takes_time_that_grows_with_the_square(name: str, content: bytes) -> None:
    """Any of these took minutes when it did; the limit is far above what they take now."""
    started = time.process_time()
    count = sum(batch.num_rows for batch in batches(name, io.BytesIO(content)))
    assert count
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"[" + b",".join([b'{"a":"xxxxxxxxxxxxxxxxxxxxxxxxx"}'] * 100) + b"]"),
        ("a.csv", b"entity,b\n" + b'1,"xxxxxxxxxxxxxxxxxxxx\n"\n' * 100),
    ],
)
def test_large_records_come_in_small_batches(name: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_BATCH_CHARACTERS", 300)
    sizes = [batch.num_rows for batch in batches(name, io.BytesIO(content))]
    assert sum(sizes) == 100
    assert max(sizes) <= 10


def test_the_names_of_a_csv_header_take_little_memory_in_many_rows() -> None:
    content = b"%s,eventId\n" % (b"a" * 10_000) + b",\n" * 20_000
    sizes = [batch.nbytes for batch in batches("a.csv", io.BytesIO(content))]
    assert sum(sizes) > 190 << 20
    assert max(sizes) < 20 << 20


def test_a_csv_header_that_is_larger_than_a_record_is_none() -> None:
    rows = parse("a.csv", b'"a\n' + b"x" * 300 + b'",eventId\n1,2\n', limit=200)
    assert texts(rows)[-1] == "1,2"
    assert {row["problem"] for row in rows} <= {"unparseable", "too_large"}
