"""Every row of a Parquet file becomes a record, whatever the others of its row group are, in bounded memory."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from activity_audit.base.delivery_limits import DEFAULT, DeliveryError, Limits
from activity_audit.ingest.raw_writer import read_delivery
from activity_audit.ingest.readers.formats import feed_format
from activity_audit.ingest.readers.parquet_footer import Compact, footer, row_groups
from activity_audit.ingest.readers.parquet_plan import pages
from tests.unit.ingest.readers.forged_parquet import page, parquet
from tests.unit.raw_lake import Feeds, Kept, problems, raw_files, texts

GOOD = [f'{{"eventId":"{n}"}}' for n in range(100)]


def written(table: pa.Table, **options: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, compression="zstd", **options)
    return target.getvalue()


def parse(content: bytes, limit: int = 1 << 20, limits: Limits = DEFAULT) -> list[Kept]:
    declared = feed_format("a.parquet")
    assert declared is not None
    batches = read_delivery(io.BytesIO(content), len(content), declared, limit, Path("/nowhere"), limits)
    return [Kept(*row.values()) for batch in batches for row in batch.to_pylist()]


def no_utf8(*values: bytes) -> pa.Array:
    """Texts that are not checked, as other writers write them."""
    return pa.Array.from_buffers(pa.string(), len(values), pa.array(values).buffers())


def with_large(size: int, large: int, good: list[str]) -> pa.Table:
    """Rows of `size` bytes, then good ones; the file has the large value once."""
    indices = pa.array([0] * large + list(range(1, len(good) + 1)), pa.int32())
    return pa.table({"n": pa.DictionaryArray.from_arrays(indices, pa.array(["x" * size, *good]))})


# --- one bad value


@pytest.mark.parametrize("store_schema", [True, False])
def test_a_value_of_a_dictionary_that_is_no_utf8_costs_no_other(feeds: Feeds, store_schema: bool) -> None:
    values = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 0, 2]), no_utf8(b"a", b"\xff", b"c"))
    records = feeds.one("a.parquet", written(pa.table({"n": values}), store_schema=store_schema))
    assert texts(records) == ['{"n":"a"}', '{"n":"\\xff"}', '{"n":"c"}', '{"n":"a"}', '{"n":"c"}']
    assert problems(records) == [None, "unparseable", None, None, None]
    assert records[1].content == b'{"n":"\xff"}'


def test_a_nested_value_that_is_no_utf8_is_kept(feeds: Feeds) -> None:
    nested = pa.StructArray.from_arrays([no_utf8(b"a", b"\xff")], ["s"])
    good, bad = feeds.one("a.parquet", written(pa.table({"n": nested})))
    assert (good.text, good.problem) == ('{"n":{"s":"a"}}', None)
    assert (bad.problem, bad.content) == ("unparseable", b'{"n":{"s":"\xff"}}')


def test_no_nested_value_is_lost() -> None:
    far = 2**62
    table = pa.table(
        {
            "times": pa.array([[far], None], pa.list_(pa.timestamp("us"))),
            "days": pa.array([[2**30], None], pa.list_(pa.date32())),
            "twice": pa.StructArray.from_arrays([pa.array([1, 2]), pa.array([3, 4])], ["a", "a"]),
            "map": pa.array([[("k", [1.5, None])], None], pa.map_(pa.string(), pa.list_(pa.float64()))),
            "fixed": pa.array([[1, 2], None], pa.list_(pa.int32(), 2)),
            "deep": pa.array([{"x": [{"y": dt.date(2026, 5, 1)}]}, {"x": None}]),
        }
    )
    for options in ({}, {"store_schema": False}):
        first, second = (json.loads(record.text) for record in parse(written(table, **options)))
        assert first == {
            "times": [f"<value out of range: {far}>"],
            "days": [f"<value out of range: {2**30}>"],
            "twice": {"a": 1, "a (2)": 3},
            "map": [["k", [1.5, None]]],
            "fixed": [1, 2],
            "deep": {"x": [{"y": "2026-05-01"}]},
        }
        assert second == {
            "times": None, "days": None, "twice": {"a": 2, "a (2)": 4}, "map": None, "fixed": None, "deep": {"x": None}
        }  # fmt: skip


# --- large rows

LAND = """
import resource, sys
from pathlib import Path
from activity_audit.ingest.readers.parquet_footer import Compact
from tests.unit.ingest.readers.forged_parquet import page, parquet
from tests.unit.raw_lake import Feeds
import pyarrow.parquet, pyarrow.compute, duckdb
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv[2]),) * 2)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = Feeds(Path(sys.argv[1])).land()
if report.set_aside:
    sys.exit("".join(one.sentence for one in report.set_aside))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def land_elsewhere(feeds: Feeds, more_memory: int | None = None) -> subprocess.CompletedProcess[str]:
    """Land in a process of its own, which may have so much more address space than it begins with."""
    home = str(feeds.landing.parent)
    arguments = [home] if more_memory is None else [home, str(more_memory)]
    # Else each thread reserves far more address space than it uses.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    command = [sys.executable, "-c", LAND, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_large_rows_take_little_memory_and_cost_no_good_one(feeds: Feeds) -> None:
    """The first of these rows alone were 480 MB, of a file of a kilobyte."""
    feeds.deliver("a.parquet", written(with_large(8 << 20, 60, GOOD)))
    done = land_elsewhere(feeds, 500 << 20)
    assert done.returncode == 0, done.stderr
    (path,) = raw_files(feeds.raw)
    rows = pq.read_table(feeds.raw / path).to_pylist()
    assert [row["problem"] for row in rows] == ["too_large"] * 60 + [None] * len(GOOD)
    assert {row["record_length"] for row in rows[:60]} == {(8 << 20) + len('{"n":""}')}
    assert [row["record"] for row in rows[60:]] == [json.dumps({"n": text}, separators=(",", ":")) for text in GOOD]


@pytest.mark.slow
def test_rows_of_more_than_two_gigabytes_together_are_read(feeds: Feeds) -> None:
    records = feeds.one("a.parquet", written(with_large(9 << 20, 260, GOOD)))
    assert problems(records) == ["too_large"] * 260 + [None] * len(GOOD)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        pytest.param(lambda: with_large(3 << 20, 60, []), {"store_schema": False}, id="dictionary"),
        pytest.param(
            lambda: pa.table({"n": ["x" * (3 << 20)] * 60}),
            {"use_dictionary": False, "column_encoding": {"n": "DELTA_BYTE_ARRAY"}, "data_page_size": 1 << 30},
            id="the value before",
        ),
        pytest.param(
            lambda: pa.table({"n": [["x" * (3 << 20)] * 30, ["x" * (3 << 20)] * 30, None]}), {}, id="nested"
        ),
        pytest.param(
            lambda: pa.table({"n": pa.nulls(60, pa.binary(3 << 20))}), {}, id="width"
        ),
        pytest.param(
            lambda: pa.Table.from_arrays([pa.array(["x"] * 60)], names=["n" * (3 << 20)]), {}, id="name"
        ),
    ],
)  # fmt: skip
def test_no_row_is_in_memory_more_often_than_a_few_times(
    feeds: Feeds, make: Callable[[], pa.Table], options: Any
) -> None:
    table = make()
    feeds.deliver("a.parquet", written(table, **{"write_statistics": False, **options}))
    done = land_elsewhere(feeds)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 130 << 20
    (path,) = raw_files(feeds.raw)
    assert pq.read_metadata(feeds.raw / path).num_rows == table.num_rows


def test_what_the_machine_lacks_is_never_the_files_fault(feeds: Feeds) -> None:
    """Nothing is kept of a delivery for which the memory does not suffice, and it is landed when it does."""
    feeds.deliver("a.parquet", written(pa.table({"n": ["x" * (120 << 20), *GOOD]}), use_dictionary=False))
    done = land_elsewhere(feeds, 100 << 20)
    assert "a.parquet" in done.stderr
    assert "this machine has too little memory" in done.stderr
    assert raw_files(feeds.raw) == []
    (delivery,) = feeds.land().new
    assert delivery.records == 1 + len(GOOD)


# --- damage


def bodies(content: bytes) -> list[int]:
    """The places of all bytes of pages that a checksum guards; their headers it does not."""
    places: list[int] = []
    for group in row_groups(footer(io.BytesIO(content), DEFAULT)):
        for column in group.columns:
            at = column.start
            while at < column.start + column.length:
                header = Compact(io.BytesIO(content), at)
                compressed = header.struct()[3]
                at = header.at + compressed
                places += range(header.at, at)
    return places


@trials(max_examples=60, deadline=None)
@given(
    options=st.fixed_dictionaries(
        {
            "row_group_size": st.sampled_from([7, 40, 1000]),
            "data_page_size": st.sampled_from([64, 300, 1 << 20]),
            "use_dictionary": st.booleans(),
            "data_page_version": st.sampled_from(["1.0", "2.0"]),
            "max_rows_per_page": st.sampled_from([3, 20, 20_000]),
        }
    ),
    at=st.floats(0, 1),
    flip=st.integers(1, 255),
)
def test_a_flipped_bit_costs_the_rows_of_its_page_at_most(options: dict[str, Any], at: float, flip: int) -> None:
    rows = 60
    table = pa.table(
        {
            "a": [f"value {n * n}" for n in range(rows)],
            "b": pa.array([n % 7 or None for n in range(rows)], pa.int64()),
            "c": [[str(n)] * (n % 3) for n in range(rows)],
        }
    )
    data = bytearray(written(table, write_page_checksum=True, **options))
    whole = parse(bytes(data))
    assert [json.loads(record.text)["a"] for record in whole] == table["a"].to_pylist()
    places = bodies(bytes(data))
    data[places[int(at * (len(places) - 1))]] ^= flip
    found = parse(bytes(data))
    assert len(found) == rows
    for good, record in zip(whole, found, strict=True):
        assert record == good or record.problem == "unparseable", record


def test_a_damaged_column_costs_no_other_column() -> None:
    table = pa.table({"a": [f"a{n}" for n in range(50)], "b": [f"b{n}" for n in range(50)]})
    data = bytearray(written(table, use_dictionary=False, write_page_checksum=True, max_rows_per_page=20))
    (group,) = row_groups(footer(io.BytesIO(data), DEFAULT))
    second = group.columns[1]
    # In the last of its three pages.
    data[second.start + second.length - 3] ^= 1
    records = parse(bytes(data))
    assert [json.loads(record.text) for record in records[:40]] == table.to_pylist()[:40]
    assert problems(records[40:]) == ["unparseable"] * 10
    for row, record in enumerate(records[40:], 41):
        assert record.text.startswith(f"row {row} of row group 1 is damaged (b: ")
        assert record.text.endswith(f'the rest of it: {{"a":"a{row - 1}"}}')


def test_a_page_that_claims_more_than_its_column_is_not_read() -> None:
    """A few bytes of a page can be decompressed to two gigabytes."""
    text = [f"{n:040}" for n in range(2500)]
    data = bytearray(written(pa.table({"a": text, "b": text}), use_dictionary=False, data_page_size=1 << 20))
    column = row_groups(footer(io.BytesIO(data), DEFAULT))[0].columns[1]
    (page,) = pages(io.BytesIO(data), column.start, column.length)
    size = data.index(bytes([0x15]) + zigzag(page.size), column.start)
    data[size + 1 : size + 4] = b"\xfe\xff\x7f"
    records = parse(bytes(data), limits=Limits(delivery_memory=1 << 20))
    assert len(records) == len(text)
    assert "a page says that it has" in records[0].text
    assert records[-1].text.endswith(json.dumps({"a": text[-1]}, separators=(",", ":")))


def zigzag(number: int) -> bytes:
    number <<= 1
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_the_pages_say_what_the_footer_says(version: str) -> None:
    table = pa.table({"a": [str(n) for n in range(3000)], "b": list(range(3000)), "c": [[n, n] for n in range(3000)]})
    content = written(table, data_page_size=500, row_group_size=1300, data_page_version=version)
    groups = row_groups(footer(io.BytesIO(content), DEFAULT))
    metadata = pq.read_metadata(io.BytesIO(content))
    assert [group.rows for group in groups] == [1300, 1300, 400]
    for number, group in enumerate(groups):
        for index, column in enumerate(group.columns):
            expected = metadata.row_group(number).column(index)
            found = list(pages(io.BytesIO(content), column.start, column.length))
            assert sum(page.values for page in found if not page.is_dictionary) == expected.num_values == column.values
            assert sum(page.is_dictionary for page in found) == expected.has_dictionary_page
            assert 0 < sum(page.size for page in found) < expected.total_uncompressed_size


def test_a_file_of_rows_without_columns_has_as_many_records() -> None:
    """It has no pages, only a number of rows: as a writer that was told to write no column makes it."""
    content = written(pa.table({"a": [1, 2, 3]}).select([]))
    rows = row_groups(footer(io.BytesIO(content), DEFAULT))[0].rows
    assert len(parse(content)) == rows


# --- limits


def refused(content: bytes, limits: Limits) -> str:
    with pytest.raises(DeliveryError) as error:
        parse(content, limits=limits)
    return str(error.value)


def test_a_row_group_whose_pages_are_too_large_is_refused() -> None:
    content = written(pa.table({"n": ["x" * (3 << 20)]}), use_dictionary=False)
    assert len(parse(content, limits=Limits(delivery_memory=4 << 20))) == 1
    assert "AUDIT_MAX_DELIVERY_MEMORY" in refused(content, Limits(delivery_memory=2 << 20))


def test_a_row_of_too_many_values_is_refused() -> None:
    content = written(pa.table({"n": [[None] * 1_000_000, [1]]}))
    assert problems(parse(content, limit=1000, limits=Limits(delivery_memory=250 << 20))) == ["too_large", None]
    assert "a row of 1000000 values" in refused(content, Limits(delivery_memory=100 << 20))


def test_a_footer_that_is_too_large_is_refused() -> None:
    content = written(pa.table({f"column {n}": [1] for n in range(3000)}))
    assert "its footer" in refused(content, Limits(delivery_memory=1 << 20))


def test_what_rows_expand_to_is_bounded() -> None:
    content = written(with_large(1 << 20, 60, []))
    assert "AUDIT_MAX_DELIVERY_BYTES" in refused(content, Limits(delivery_bytes=50 << 20))
    assert len(parse(content, limits=Limits(delivery_bytes=70 << 20))) == 60


def test_columns_that_share_their_pages_are_walked_through_once() -> None:
    """A few megabytes of empty pages, each a hundred columns', would be looked at for hours."""
    body = page(0) * 2000
    content = parquet(body, [f"c{number}" for number in range(100)], [(5, [(4, len(body), 5)] * 100)], 5)
    records = parse(content)
    assert problems(records) == ["unparseable"] * 5
    assert "c0: its pages end before its values" in records[0].text
    assert "c99: its pages are those of other columns" in records[0].text


@pytest.mark.parametrize("columns", [["a"], []])
def test_rows_that_only_the_footer_has_are_no_flood_of_records(
    feeds: Feeds, monkeypatch: pytest.MonkeyPatch, columns: list[str]
) -> None:
    monkeypatch.setattr("activity_audit.base.delivery_limits._SMALL", 1 << 20)
    feeds.deliver("x.parquet", parquet(b"", columns, [(2**40, [(4, 0, 2**40) for _ in columns])], 2**40))
    feeds.deliver("good.parquet", written(pa.table({"n": GOOD})))
    report = feeds.land(limits=Limits(delivery_records=200_000))
    (aside,) = report.set_aside
    assert (aside.name, "AUDIT_MAX_DELIVERY_EXPANSION" in aside.sentence) == ("x.parquet", True)
    assert [delivery.name for delivery in report.new] == ["good.parquet"]


def test_a_schema_that_nests_too_deep_is_no_parquet_file(feeds: Feeds) -> None:
    kind: Any = pa.int32()
    for _ in range(150):
        kind = pa.struct([("a", kind)])
    content = written(pa.table({"n": pa.nulls(1, kind)}))
    (record,) = feeds.one("a.parquet", content)
    assert record.problem == "unparseable"


def test_the_landing_names_what_it_refuses(feeds: Feeds) -> None:
    feeds.deliver("large.parquet", written(with_large(1 << 20, 60, [])))
    feeds.deliver("good.parquet", written(pa.table({"n": GOOD})))
    (aside,) = feeds.land(limits=Limits(delivery_bytes=1 << 20)).set_aside
    assert aside.name == "large.parquet"
    assert "AUDIT_MAX_DELIVERY_BYTES" in aside.sentence
    assert len(raw_files(feeds.raw)) == 1
    assert [delivery.name for delivery in feeds.land().new] == ["large.parquet"]
