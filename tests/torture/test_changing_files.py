"""Deliveries that grow, shrink, vanish or are replaced while they are read: nothing half is landed as a whole."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import os
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activity_audit.ingest import landing_pass
from activity_audit.ingest.landing import LandingReport, land, open_index
from activity_audit.ingest.raw_writer import read_delivery
from activity_audit.ingest.readers.formats import feed_format
from activity_audit.ingest.sources.files import FileSource
from activity_audit.raw.index import LandedDelivery
from activity_audit.raw.lake import RawLake, local_lake
from tests.integration.support import event
from tests.torture.figures import Figures

_MOST = 1 << 20
_LANDED_AT = datetime(2026, 5, 2, tzinfo=UTC)
# The second is larger than what is read at once.
_SIZES = (20, 3_000)
_FORMATS = ("a.ndjson", "a.json", "a.csv", "a.ndjson.gz", "a.parquet")


@cache
def _content(name: str, records: int, marked: str) -> bytes:
    """A file of so many records, whose ids begin with a mark."""
    rows = [event(f"{marked}{n}", comments=random.Random(n).randbytes(300).hex()) for n in range(records)]
    if name.endswith("parquet"):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), sink)
        return sink.getvalue()
    if name.endswith("csv"):
        return "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]).encode() + b"\n"
    text = "\n".join(map(json.dumps, rows)).encode() + b"\n"
    if name.endswith("json") and not name.endswith("ndjson"):
        return b"[" + text.strip().replace(b"\n", b",\n") + b"]"
    return gzip.compress(text, 1, mtime=0) if name.endswith("gz") else text


class _Feeds:
    """A landing area with one file, and what is landed of it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / "landing/search/2026-05-01/10" / name
        self.path.parent.mkdir(parents=True)
        self.raw: RawLake = local_lake(folder / "raw")
        self._source = FileSource(str(folder / "landing"), ["search"])

    def land(self) -> LandingReport:
        return land(self._source, self.raw, feeds=["search"], window=None, landed_at=_LANDED_AT, max_record_bytes=_MOST)

    def deliveries(self) -> list[LandedDelivery]:
        return open_index(self.raw).deliveries(["search"])

    def require_whole(self, delivery: LandedDelivery, content: bytes) -> None:
        """Fail if what is landed is not each record of this content."""
        assert delivery.sha256 == hashlib.sha256(content).hexdigest()
        declared = feed_format(self.path.name)
        assert declared
        calm = read_delivery(io.BytesIO(content), len(content), declared, _MOST, self.path.parent.parent)
        expected = [text for batch in calm for text in batch.column("record").to_pylist()]
        with self.raw.store.open(delivery.raw_path) as file:
            assert pq.read_table(file)["record"].to_pylist() == expected


def _change(path: Path, how: str, later: bytes) -> bytes | None:
    """Do that to the file that is being read; what is there then."""
    before = path.read_bytes()
    if how == "grows":
        with path.open("ab") as file:
            file.write(later)
    elif how == "shrinks":
        os.truncate(path, len(before) // 2)
    elif how == "is rewritten":
        path.write_bytes(later)
    elif how == "is replaced":
        path.with_suffix(".tmp").write_bytes(later)
        path.with_suffix(".tmp").replace(path)
    else:
        path.unlink()
        return None
    return path.read_bytes()


@pytest.mark.parametrize("how", ["grows", "shrinks", "is rewritten", "is replaced", "vanishes"])
@pytest.mark.parametrize("name", _FORMATS)
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    figures = Figures("a delivery that changes while it is read")
    for records in _SIZES:
        # Before its hash is taken, before it is read for its records, and before it is compared with what it was.
        for step in ("local_content", "write_parquet", "replace"):
            feeds = _Feeds(tmp_path / f"{records}-{step}", name)
            old, new = _content(name, records, "old"), _content(name, records + 1, "new")
            feeds.path.write_bytes(old)
            inner: Callable[..., Any] = getattr(landing_pass, step)
            there: list[bytes | None] = [old]

            def changed(*given: Any, inner: Any = inner, feeds: Any = feeds, there: Any = there, **named: Any) -> Any:
                if len(there) == 1:
                    there.append(_change(feeds.path, how, new))  # noqa: B023
                return inner(*given, **named)

            with monkeypatch.context() as patch:
                patch.setattr(landing_pass, step, changed)
                report = feeds.land()
            is_read = step == "replace" or (step == "local_content" and how in ("grows", "shrinks", "is rewritten"))
            landed = {found.sha256: found for found in feeds.deliveries()}
            assert (len(report.new), report.set_aside) == (int(is_read), [])
            assert report.deferred == ([] if is_read else [f"file://{feeds.path}"])
            # The next pass takes what is there.
            assert feeds.land().deferred == []
            landed |= {found.sha256: found for found in feeds.deliveries()}
            contents = [content for content in there if content is not None]
            for delivery in landed.values():
                (content,) = [one for one in contents if hashlib.sha256(one).hexdigest() == delivery.sha256]
                feeds.require_whole(delivery, content)
            assert there[1] is None or hashlib.sha256(there[1]).hexdigest() in landed
            figures.add(faults=1, inputs=1, lost=0, doubled=0)


@pytest.mark.parametrize("name", [_FORMATS[0], *(pytest.param(one, marks=pytest.mark.torture) for one in _FORMATS[1:])])
def test_a_file_that_somebody_writes_all_the_time(tmp_path: Path, name: str, rounds: int, seed: int) -> None:
    """Every version is written in several pieces, or at once under its name; what is landed is one that was there."""
    figures, feeds, moments = Figures("a delivery that changes while it is read"), _Feeds(tmp_path, name), None
    moments = random.Random(seed)
    versions: list[bytes] = []
    written: set[str] = set()
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            content = _content.__wrapped__(name, moments.choice((5, 300, 2_000)), f"v{len(versions)}-")
            versions.append(content)
            if moments.random() < 0.5:
                _change_at_once(feeds.path, content, written)
            else:
                _in_pieces(feeds.path, content, moments, written)
            time.sleep(moments.uniform(0, 0.02))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        passes = min(rounds, 200) if name != _FORMATS[0] else 25
        for _ in range(passes):
            report = feeds.land()
            assert report.set_aside == []
    finally:
        over.set()
        writer.join()
    feeds.land()
    found = feeds.deliveries()
    figures.add(rounds=passes, inputs=len(versions), faults=len(versions), lost=0, doubled=0)
    assert {delivery.sha256 for delivery in found} <= written
    assert hashlib.sha256(feeds.path.read_bytes()).hexdigest() in {delivery.sha256 for delivery in found}
    contents = {hashlib.sha256(content).hexdigest(): content for content in versions}
    for delivery in found:
        if whole := contents.get(delivery.sha256):
            feeds.require_whole(delivery, whole)


def _change_at_once(path: Path, content: bytes, written: set[str]) -> None:
    written.add(hashlib.sha256(content).hexdigest())
    temporary = path.with_name(".hidden")
    temporary.write_bytes(content)
    temporary.replace(path)


def _in_pieces(path: Path, content: bytes, moments: random.Random, written: set[str]) -> None:
    ends = sorted({0, len(content), *(moments.randrange(len(content)) for _ in range(4))})
    written |= {hashlib.sha256(content[:end]).hexdigest() for end in ends}
    with path.open("wb", buffering=0) as file:
        for start, end in itertools.pairwise(ends):
            file.write(content[start:end])
