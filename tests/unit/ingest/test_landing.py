"""Landing: every delivery reaches the raw lake once and for ever, as it came."""

from __future__ import annotations

import hashlib
import io
import json
import os
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from activity_audit.ingest.landing import open_index
from activity_audit.ingest.raw_writer import write_parquet
from activity_audit.ingest.readers.formats import feed_format
from activity_audit.ingest.sources.files import FileSource
from activity_audit.raw import files
from activity_audit.raw.index import INDEX_NAME
from activity_audit.raw.lake import local_lake
from activity_audit.settings.core import SettingsError, load_settings
from tests.unit.raw_lake import FEEDS, HOUR, LANDED_AT, A, B, Feeds, indexed, raw_content, read
from tests.unit.raw_lake import raw_files as final_names


def restore(path: Path, content: bytes, status: os.stat_result) -> None:
    """Change a file behind everybody's back: same size, same times."""
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_delivery_says_what_it_is(feeds: Feeds) -> None:
    path = feeds.deliver("a.ndjson", A + B)
    (delivery,) = feeds.land().new
    assert (delivery.feed, delivery.feed_hour, delivery.name) == ("search", HOUR, "a.ndjson")
    assert delivery.sha256 == hashlib.sha256(A + B).hexdigest()
    assert (delivery.bytes, delivery.records) == (len(A + B), 2)
    assert delivery.source_uri == f"file://{path}"
    assert delivery.landed_at == LANDED_AT
    assert files.delivery_in(local_lake(feeds.raw).store, delivery.raw_path) == delivery


def test_texts_are_compressed_and_columns_without_any_are_not(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A * 3)
    feeds.deliver("b.ndjson", A + b"\xff\n")
    feeds.deliver("c.ndjson", b"")
    compressed = {}
    for delivery in feeds.land().new:
        footer = pq.read_metadata(feeds.raw / delivery.raw_path)
        columns = [footer.row_group(0).column(n) for n in range(footer.num_columns)] if footer.num_rows else []
        compressed[delivery.name] = [one.path_in_schema for one in columns if one.compression == "ZSTD"]
    assert compressed == {
        "a.ndjson": ["record"], "b.ndjson": ["record", "problem", "record_bytes"], "c.ndjson": [],
    }  # fmt: skip


@pytest.mark.parametrize("records", [1, 10_000])
def test_a_raw_file_that_the_disk_does_not_take_is_an_error(records: int) -> None:
    content = b"".join(hashlib.sha512(b"%d" % n).hexdigest().encode() + b"\n" for n in range(records))
    declared = feed_format("a.ndjson")
    assert declared
    with pytest.raises(OSError, match="No space"):
        write_parquet(io.BytesIO(content), len(content), declared, Path("/dev/full"), "{}", 1 << 20)


def test_landing_again_adds_nothing(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.deliver("_manifest.json", b'{"files":[]}')
    first = feeds.land()
    assert (len(first.new), len(first.new_manifests)) == (1, 1)
    before, known = raw_content(feeds.raw), indexed(feeds)
    again = feeds.land(at=LANDED_AT + timedelta(hours=1))
    assert (again.new, again.new_manifests, again.warnings) == ([], [], [])
    assert (raw_content(feeds.raw), indexed(feeds)) == (before, known)
    # Nor where every file looks as if it were new.
    for path in feeds.folder.iterdir():
        os.utime(path)
    again = feeds.land(at=LANDED_AT + timedelta(hours=2))
    assert (again.new, again.new_manifests) == ([], [])
    assert (raw_content(feeds.raw), indexed(feeds)) == (before, known)


def test_what_was_landed_is_not_read_again(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.land()
    monkeypatch.setattr(FileSource, "open", lambda *_: pytest.fail("read again"))
    assert feeds.land().new == []


def test_the_same_content_under_another_name_is_another_delivery(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.land()
    feeds.deliver("b.ndjson", A)
    assert [delivery.name for delivery in feeds.land().new] == ["b.ndjson"]
    assert len(final_names(feeds.raw)) == 2


def test_a_change_that_leaves_size_and_time_is_noticed(feeds: Feeds) -> None:
    path = feeds.deliver("a.ndjson", A)
    feeds.land()
    restore(path, B, path.stat())
    (delivery,) = feeds.land().new
    assert [row[1] for row in read(feeds.raw / delivery.raw_path)] == [B.decode().strip()]


def test_a_grown_file_is_a_second_delivery(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.land()
    with (feeds.folder / "a.ndjson").open("ab") as file:
        file.write(B)
    assert [delivery.records for delivery in feeds.land().new] == [2]
    assert sorted(len(rows) for rows in raw_content(feeds.raw).values()) == [1, 2]


def test_a_delivery_that_comes_back_is_the_one_it_was(feeds: Feeds) -> None:
    news = []
    for content in (A, B, A):
        feeds.deliver("a.ndjson", content)
        news.append(len(feeds.land().new))
    assert news == [1, 1, 0]
    assert len(final_names(feeds.raw)) == 2


def test_a_manifest_that_comes_back_is_the_newest_again(feeds: Feeds) -> None:
    first, second = b'{"files":[]}', b'{"files":[],"x":1}'
    for hours, content in enumerate((first, second, first)):
        feeds.deliver("_manifest.json", content)
        assert len(feeds.land(at=LANDED_AT + timedelta(hours=hours)).new_manifests) == 1
        (newest,) = open_index(local_lake(feeds.raw)).manifests(FEEDS)
        assert newest.content == content
    assert len(final_names(feeds.raw)) == 3
    (feeds.raw / INDEX_NAME).unlink()
    (newest,) = open_index(local_lake(feeds.raw)).manifests(FEEDS)
    assert newest.content == first


def test_what_is_deleted_after_landing_stays(feeds: Feeds) -> None:
    feeds.deliver("a.ndjson", A)
    feeds.land()
    before, known = raw_content(feeds.raw), indexed(feeds)
    (feeds.folder / "a.ndjson").unlink()
    assert feeds.land().new == []
    assert (raw_content(feeds.raw), indexed(feeds)) == (before, known)


TRICKY = [
    "", " ", "{", "}", "null", "NaN", "-Infinity", '{"a":nan}', '{"a":1,}', '{"a":1}}', '{"a":1}{"b":2}', '"\\ud800"',
    '{"a":"\\ud800"}', '{"\\udfff":1}', '{"a":"\x00"}', '{"a":"\\u0000"}', "\x00", '{"a":"\\x"}', '{"a":"\t"}',
    "{'a':1}", '{"a":1e999}', '{"a":' + "9" * 400 + "}", '{"a":01}', "[" * 5000, '{"a":' * 3000 + "1" + "}" * 3000,
    '{"a":1,"a":2}', '{"":1}', "/* c */ {}", "{} // c", '\ufeff{"a":1}', '{"a":"\u2028\x85\U0001f389"}', "// c",
    '{"a":tru}',
]  # fmt: skip


@pytest.mark.parametrize("name", ["a.ndjson", "a.json", "a.csv", "a.parquet"])
def test_no_text_that_lands_makes_duckdb_raise(feeds: Feeds, name: str) -> None:
    surrogates = b'{"a":"\xed\xa0\x80"}\n'
    feeds.deliver(name, "\n".join(TRICKY).encode() + b"\n\xff\n" + surrogates)
    (delivery,) = feeds.land().new
    with duckdb.connect() as connection:
        rows = connection.execute(
            "select record, problem, json_valid(record), "
            "if(json_valid(record), json_type(record), null), "
            "if(json_valid(record), json_extract_string(record, ['$.a', '/a']), null) from read_parquet(?)",
            [str(feeds.raw / delivery.raw_path)],
        ).fetchall()
    assert len(rows) == delivery.records > 0
    if name == "a.ndjson":
        shallow = [row for row in rows if len(row[0]) < 1000]
        assert [problem is None and valid and kind == "OBJECT" for _, problem, valid, kind, _ in shallow] == [
            strict_object(text) for text, *_ in shallow
        ]


def strict_object(text: str) -> bool:
    """Whether a text is one JSON object by the standard, all of it Unicode."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        json.dumps(value, ensure_ascii=False).encode()
    except ValueError:
        return False
    return isinstance(value, dict)


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def test_a_record_limit_that_cannot_be(feeds: Feeds) -> None:
    with pytest.raises(SettingsError, match="AUDIT_MAX_RECORD_BYTES=0: must be at least 1"):
        load_settings(max_record_bytes=0)
    # The smallest one: every record is too large, and still there.
    feeds.deliver("a.ndjson", A + b"1\n" + B)
    (delivery,) = feeds.land(limit=1).new
    assert [(row[1], row[2]) for row in read(feeds.raw / delivery.raw_path)] == [
        (A.decode().strip(), "too_large"),
        ("1", None),
        (B.decode().strip(), "too_large"),
    ]
