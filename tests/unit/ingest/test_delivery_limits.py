"""What one delivery may take of the machine: it is refused by name past a limit, and all others are landed."""

from __future__ import annotations

import errno
import gzip
import io
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard

from activity_audit.base.delivery_limits import DeliveryError, Limits, machine_is_at_fault
from activity_audit.ingest.raw_writer import read_delivery
from activity_audit.ingest.readers.formats import feed_format
from activity_audit.settings.core import SettingsError, load_settings
from tests.unit.raw_lake import A, B, Feeds, raw_files, texts

MEBIBYTE = 1 << 20
SMALL = Limits(delivery_bytes=4 * MEBIBYTE, delivery_records=1000, delivery_expansion=2, delivery_memory=8 * MEBIBYTE)
LONG = b'{"a":"%s"}\n' % (b"x" * 100_000)


def wide_window(content: bytes) -> bytes:
    """A zstd stream that may look back 256 MiB, as `zstd --long=28` writes it."""
    parameters = zstandard.ZstdCompressionParameters(window_log=28, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(content) + compressor.flush()


@pytest.mark.parametrize(
    ("name", "content", "setting"),
    [
        pytest.param("x.ndjson", LONG * 50, "AUDIT_MAX_DELIVERY_BYTES", id="large"),
        pytest.param("x.ndjson.gz", gzip.compress(LONG * 50), "AUDIT_MAX_DELIVERY_BYTES", id="large when expanded"),
        pytest.param("x.json.zst", zstandard.compress(LONG * 50), "AUDIT_MAX_DELIVERY_BYTES", id="the same of zstd"),
        pytest.param("x.parquet.gz", gzip.compress(LONG * 50), "AUDIT_MAX_DELIVERY_BYTES", id="copied to scratch"),
        pytest.param("x.ndjson.gz", gzip.compress(b"x\n" * 1001), "AUDIT_MAX_DELIVERY_RECORDS", id="many lines"),
        pytest.param("x.json", b"[" + b"1," * 1001 + b"1]", "AUDIT_MAX_DELIVERY_RECORDS", id="many elements"),
        pytest.param("x.csv", b"a,eventId\n" + b"1,2\n" * 1001, "AUDIT_MAX_DELIVERY_RECORDS", id="many rows"),
        pytest.param(
            "x.csv", b"%s,eventId\n" % (b"a" * 9000) + b",\n" * 999, "AUDIT_MAX_DELIVERY_BYTES", id="names in all rows"
        ),
        pytest.param("x.ndjson.zst", wide_window(A * 90), "AUDIT_MAX_DELIVERY_MEMORY", id="a wide window"),
    ],
)  # fmt: skip
def test_a_delivery_past_a_limit_is_refused_by_name_and_holds_up_no_other(
    feeds: Feeds, name: str, content: bytes, setting: str
) -> None:
    feeds.deliver(name, content)
    feeds.deliver("good.ndjson", A + B)
    for _ in range(2):
        (aside,) = feeds.land(limits=SMALL).set_aside
        assert aside.name == name
        assert setting in aside.sentence
        assert len(raw_files(feeds.raw)) == 1
    # With the limit out of the way nothing is missing.
    report = feeds.land()
    assert [delivery.name for delivery in report.new] == [name]
    assert report.set_aside == []


def test_expansion_is_bounded_beyond_what_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activity_audit.base.delivery_limits._SMALL", 2 * MEBIBYTE)
    content = gzip.compress(LONG * 50)

    def read(expansion: int) -> int:
        declared = feed_format("a.ndjson.gz")
        assert declared is not None
        limits = Limits(delivery_expansion=expansion)
        parts = read_delivery(io.BytesIO(content), len(content), declared, MEBIBYTE, Path("/nowhere"), limits)
        return sum(part.num_rows for part in parts)

    assert read(1000) == 50
    with pytest.raises(DeliveryError, match="AUDIT_MAX_DELIVERY_EXPANSION"):
        read(10)


def test_rows_of_few_bytes_are_no_flood_of_records(feeds: Feeds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row has all names: a small table would fill the disk."""
    monkeypatch.setattr("activity_audit.base.delivery_limits._SMALL", 2 * MEBIBYTE)
    feeds.deliver("x.csv", b"%s,eventId\n" % (b"a" * 9000) + b",\n" * 999)
    feeds.deliver("x.csv.gz", gzip.compress(b"%s,eventId\n" % (b"a" * 9000) + b",\n" * 999))
    feeds.deliver("good.ndjson", A + B)
    limits = Limits(delivery_expansion=200)
    report = feeds.land(limits=limits)
    assert [(one.name, "AUDIT_MAX_DELIVERY_EXPANSION" in one.sentence) for one in report.set_aside] == [
        ("x.csv", True), ("x.csv.gz", True),
    ]  # fmt: skip
    assert [delivery.name for delivery in report.new] == ["good.ndjson"]
    assert [delivery.records for delivery in feeds.land(limits=Limits(delivery_expansion=1000)).new] == [999, 999]


def test_a_zstd_stream_with_a_wide_window_is_read(feeds: Feeds) -> None:
    records = feeds.one("a.ndjson.zst", wide_window(A + B))
    assert texts(records) == [A.decode().strip(), B.decode().strip()]


@pytest.mark.parametrize("number", [errno.ENOMEM, errno.ENOSPC, errno.EIO, errno.EMFILE])
def test_what_the_machine_lacks_is_told_from_what_is_wrong(number: int) -> None:
    with pytest.raises(DeliveryError, match=os.strerror(number)), machine_is_at_fault():
        raise OSError(number, os.strerror(number))
    with pytest.raises(FileNotFoundError), machine_is_at_fault():
        raise FileNotFoundError(errno.ENOENT, "gone")
    with pytest.raises(DeliveryError, match="this machine has too little memory"), machine_is_at_fault():
        raise MemoryError


class Failing(io.BytesIO):
    """A delivery that is whole until it has been read so often."""

    def __init__(self, content: bytes, reads: int, error: Exception) -> None:
        super().__init__(content)
        self._left = reads
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise self._error
        return super().read(size)


@pytest.mark.parametrize("name", ["a.ndjson", "a.json", "a.csv", "a.ndjson.gz", "a.json.zst", "a.csv.gz", "a.parquet"])
@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "no memory"), OSError(errno.EIO, "disk")])
def test_no_reader_takes_a_lack_of_memory_for_a_broken_file(name: str, error: Exception) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = b'[{"a":"b,c"},\n{"a":"c,d"}]\n' * 2
    if name.endswith("gz"):
        content = gzip.compress(content)
    elif name.endswith("zst"):
        content = zstandard.compress(content)
    elif name.endswith("parquet"):
        target = io.BytesIO()
        pq.write_table(pa.table({"n": [str(n) for n in range(100)]}), target, row_group_size=50)
        content = target.getvalue()
    declared = feed_format(name)
    assert declared is not None
    raised = 0
    for reads in range(40):
        stream: Any = Failing(content, reads, error)
        try:
            parts = list(read_delivery(stream, len(content), declared, MEBIBYTE, Path("/nowhere")))
        except (MemoryError, OSError):
            raised += 1
            continue
        assert stream._left >= 0
        assert sum(part.num_rows for part in parts) in (4, 6, 100) or name.startswith("a.csv")
    assert 0 < raised < 40


@pytest.mark.parametrize("name", ["BYTES", "RECORDS", "EXPANSION", "MEMORY"])
def test_limits_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = 300 if name == "EXPANSION" else 1 << 21
    monkeypatch.setenv(f"AUDIT_MAX_DELIVERY_{name}", str(value))
    assert getattr(load_settings().limits, f"delivery_{name.lower()}") == value
    monkeypatch.setenv(f"AUDIT_MAX_DELIVERY_{name}", "0")
    with pytest.raises(SettingsError, match=f"AUDIT_MAX_DELIVERY_{name}=.*must be at least"):
        load_settings()
