"""Files that are made to fill the memory or the disk: named with the limit, and the memory stays where it is set."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pyarrow.parquet import encryption

from activity_audit.ingest.set_aside import SetAsides
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings, load_settings
from tests.integration.support import deliver, event, lines, query
from tests.torture.figures import Figures
from tests.torture.state import require_well
from tests.unit.ingest.readers.forged_parquet import page, parquet

MEMORY_LIMIT_MB = 1024
# The default.
USUAL_LIMIT_MB = 3000
# A process takes half a gigabyte besides, and landing reads one delivery in each of two threads.
_BESIDE_MB = 512 + 2 * 100
MOST_MB = MEMORY_LIMIT_MB + _BESIDE_MB
_RUN = """
import json, sys
from activity_audit.settings.core import load_settings
from tests.integration.support import run
run(load_settings(home=sys.argv[1], feed_url=sys.argv[2], memory_limit=sys.argv[3]), 0, 1)
(peak,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) >> 10)
"""
GIB = 1 << 30


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home", feed_url=str(tmp_path / "landing"))


def _run(settings: Settings, figures: Figures, limit_mb: int = MEMORY_LIMIT_MB) -> int:
    """Run the hour in a process of its own; its peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(settings.home), str(settings.feed_url), f"{limit_mb}MB"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    peak = int(done.stdout.split()[-1])
    figures.most(peak_memory_mb=peak)
    return peak


def _set_aside(settings: Settings) -> dict[str, str]:
    return {one.name: one.reason for one in SetAsides(raw_lake(settings)).all(["search"], None)}


def _received(settings: Settings) -> dict[str, tuple[int, int]]:
    rows = query(settings, "select name, received, quarantined from quality.feed_delivery where feed = 'search'")
    return {name: (received, quarantined) for name, received, quarantined in rows}


def _bomb(compress: str, size: int) -> bytes:
    """So many bytes of long lines, in a thousandth of them or less."""
    part = (b"x" * 1023 + b"\n") * (1 << 10)
    target = io.BytesIO()
    opened = gzip.GzipFile(fileobj=target, mode="wb") if compress == "gz" else zstandard.ZstdCompressor().stream_writer(
        target, closefd=False
    )  # fmt: skip
    with opened as file:
        for _ in range(size >> 20):
            file.write(part)
    return target.getvalue()


class _Keys(encryption.KmsClient):
    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> str:
        return key_bytes.hex()

    def unwrap_key(self, wrapped_key: str, master_key_identifier: str) -> bytes:
        return bytes.fromhex(wrapped_key)


def _encrypted(*, is_footer_plain: bool) -> bytes:
    chosen = encryption.EncryptionConfiguration(
        footer_key="k", column_keys={"k": ["eventId"]}, plaintext_footer=is_footer_plain
    )
    factory = encryption.CryptoFactory(lambda _: _Keys())
    target = io.BytesIO()
    pq.write_table(
        pa.table({"eventId": ["a", "b"], "entity": ["x", "y"]}),
        target,
        encryption_properties=factory.file_encryption_properties(encryption.KmsConnectionConfig(), chosen),
    )
    return target.getvalue()


def _sparse(path: Path, head: bytes, size: int, tail: bytes = b"") -> None:
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
        file.seek(0, os.SEEK_END)
        file.write(tail)


def test_bombs_are_named_and_hold_up_nothing(settings: Settings) -> None:
    figures = Figures("bombs")
    empty_pages = page(0) * 1000
    refused = {
        "a.ndjson.gz": ("EXPANSION", _bomb("gz", 260 << 20)),
        "b.jsonl.zst": ("EXPANSION", _bomb("zst", 260 << 20)),
    }
    held = {
        # What is in it is not decompressed again.
        "nested.ndjson.gz": (1, gzip.compress(gzip.compress(bytes(1 << 20), mtime=0))),
        "shared.parquet": (5, parquet(empty_pages, ["a", "b"], [(5, [(4, len(empty_pages), 5)] * 2)], 5)),
        "hidden.parquet": (1, _encrypted(is_footer_plain=False)),
        "half hidden.parquet": (2, _encrypted(is_footer_plain=True)),
        "many members.ndjson.gz": (1, gzip.compress(b"") * 20_000 + gzip.compress(b"{}\n") + bytes(1 << 20)),
    }
    for name, (_, content) in (refused | held).items():
        deliver(settings, content, name=name)
    folder = deliver(settings, lines([event("good")])).parent
    _sparse(folder / "sparse.ndjson", lines([event("sparse")]), 100 << 20, b"\n" + lines([event("after")]))
    deliver(settings, lines([event("other", application="QM")]), feed="qm")
    for number in range(300):
        deliver(settings, lines([event(f"tiny-{number}")]), name=f"tiny {number}.ndjson")
    peak = _run(settings, figures)
    figures.add(inputs=len(refused) + len(held) + 303, rounds=1)
    aside = _set_aside(settings)
    assert aside.keys() == refused.keys()
    assert [name for name, (limit, _) in refused.items() if f"AUDIT_MAX_DELIVERY_{limit}" not in aside[name]] == []
    received = _received(settings)
    assert {name: received[name] for name in held} == {name: (count, count) for name, (count, _) in held.items()}
    assert received["sparse.ndjson"] == (3, 1)
    assert peak < MOST_MB
    events = ["good", "sparse", "after", "other", *(f"tiny-{number}" for number in range(300))]
    require_well(settings, events, figures)


@pytest.mark.torture
def test_rows_that_only_a_footer_has_are_named(settings: Settings) -> None:
    figures = Figures("bombs")
    refused = {
        "rows.parquet": parquet(b"", ["a"], [(2**40, [(4, 0, 2**40)])], 2**40),
        "rows.parquet.gz": gzip.compress(parquet(b"", [], [(2**40, [])], 2**40)),
        "lines.ndjson.gz": gzip.compress(b"x\n" * (100 << 20)),
    }
    for name, content in refused.items():
        deliver(settings, content, name=name)
    deliver(settings, lines([event("good")]))
    peak = _run(settings, figures)
    figures.add(inputs=len(refused) + 1, rounds=1)
    assert _set_aside(settings).keys() == refused.keys()
    assert peak < MOST_MB
    require_well(settings, ["good"], figures)


def _large(count: int, length: int) -> Iterator[bytes]:
    """Events with a comment of so many characters, which compresses, but not too well."""
    noise = os.urandom(length // 64).hex()
    for number in range(count):
        at = number % len(noise)
        comment = (noise[at:] + noise[:at]) * (length // len(noise) + 1)
        yield json.dumps(event(f"large-{number}", comments=comment[:length])).encode() + b"\n"


@pytest.mark.torture
def test_files_of_five_gigabytes_take_no_more_memory(settings: Settings) -> None:
    """One line, one value, one row, of zeros; and a stream of 5 GB of events."""
    figures = Figures("files of 5 GB")
    size, count, length = 5 * GIB, 5 << 20, 1 << 10
    folder = deliver(settings, lines([event("good")])).parent
    _sparse(folder / "line.ndjson", lines([event("before")]), size, b"\n" + lines([event("after")]))
    _sparse(folder / "value.json", b'[{"eventId":"', size, b'"}]')
    _sparse(folder / "row.csv", b"eventId,entity\na,", size, b"\n")
    _sparse(folder / "padding.ndjson.gz", gzip.compress(lines([event("padded")])), size)
    with gzip.open(folder / "events.ndjson.gz", "wb", compresslevel=1) as file:
        for line in _large(count, length):
            file.write(line)
    peak = _run(settings, figures, USUAL_LIMIT_MB)
    figures.add(inputs=6, rounds=1)
    assert _set_aside(settings) == {}
    received = _received(settings)
    assert received == {
        "a.ndjson": (1, 0), "line.ndjson": (3, 1), "value.json": (1, 1), "row.csv": (1, 1),
        "padding.ndjson.gz": (1, 0), "events.ndjson.gz": (count, 0),
    }  # fmt: skip
    require_well(
        settings, ["good", "before", "after", "padded", *(f"large-{number}" for number in range(count))], figures
    )
    assert peak < USUAL_LIMIT_MB + _BESIDE_MB
