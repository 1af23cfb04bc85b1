"""Writes the Parquet files of the raw lake from deliveries."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from activity_audit.base.delivery_limits import DEFAULT, Expansion, Limits
from activity_audit.ingest.readers.formats import FeedFormat
from activity_audit.ingest.readers.read_csv import read_csv
from activity_audit.ingest.readers.read_json import read_json
from activity_audit.ingest.readers.read_lines import read_lines
from activity_audit.ingest.readers.read_parquet import read_parquet, unreadable
from activity_audit.ingest.readers.streams import Blocks, decompressed_copy, encoding_without_mark, is_compressed
from activity_audit.raw import records
from activity_audit.raw.index import METADATA_KEY

_READERS: dict[str, Callable[[Blocks, int], Iterator[pa.RecordBatch]]] = {
    "lines": read_lines,
    "json": read_json,
    "csv": read_csv,
}
# A row group is what a query reads in one thread: large enough to compress, small enough to be held.
_GROUP_ROWS = 120_000
_GROUP_BYTES = 32 << 20
_PAGE_BYTES = 8 << 20
_BUFFER_BYTES = 64 << 10
_NUMBERS = ("source_record", "record_length")
_SCHEMA = pa.schema([pa.field("source_record", pa.int64()), *records.schema()])
# A larger delivery is read in one thread and written in another.
_LARGE = 4 << 20
_AHEAD = 8
# By so much of its beginning a text's encoding is told.
_HEAD_BYTES = 4096


def write_parquet(
    stream: BinaryIO,
    size: int,
    declared: FeedFormat,
    target: Path,
    metadata: str,
    max_record_bytes: int,
    limits: Limits = DEFAULT,
) -> int:
    """Write every record of a delivery to the Parquet file `target`, with `metadata` in its footer.

    `stream` has the delivery's `size` bytes and can seek; the folder of `target` is used as scratch space.
    Returns the number of records.

    Raises:
        DeliveryError: if it is past one of the limits.
        MemoryError: if this machine lacks the memory to read it.
        OSError: if the delivery cannot be read, or the file cannot be written; never for what is in it.
    """
    expansion = Expansion(limits, size)
    batches = _read(stream, declared, max_record_bytes, target.parent, expansion)
    return _write(expansion.checked(_read_ahead(batches) if size > _LARGE else batches), target, metadata)


def read_delivery(
    stream: BinaryIO,
    size: int,
    declared: FeedFormat,
    max_record_bytes: int,
    scratch: Path,
    limits: Limits = DEFAULT,
) -> Iterator[pa.RecordBatch]:
    """Every record of a delivery, in order, as batches without positions. An empty file has none.

    Raises:
        DeliveryError: if it is past one of the limits; how many records it has and what they take is not looked at.
        MemoryError: if this machine lacks the memory to read it.
        OSError: if it cannot be read.
    """
    return _read(stream, declared, max_record_bytes, scratch, Expansion(limits, size))


def _read(
    stream: BinaryIO, declared: FeedFormat, max_record_bytes: int, scratch: Path, expansion: Expansion
) -> Iterator[pa.RecordBatch]:
    limits = expansion.limits
    if not expansion.size:
        return
    limits.check_size(expansion.size)
    stream.seek(0)
    if declared.compression and not is_compressed(stream.read(4), declared.compression):
        yield from records.to_batches([unreadable(stream, max_record_bytes)])
        return
    stream.seek(0)
    if declared.shape != "parquet":
        blocks = Blocks(stream, declared.compression, expansion)
        if encoding := encoding_without_mark(blocks.peek()[:_HEAD_BYTES]):
            reason = f"the file looks like {encoding} without a byte order mark; deliver it as UTF-8, or with the mark"
            yield from records.to_batches([unreadable(stream, max_record_bytes, reason)])
            return
        yield from _READERS[declared.shape](blocks, max_record_bytes)
    elif declared.compression is None:
        yield from read_parquet(stream, max_record_bytes, limits)
    else:
        with decompressed_copy(Blocks(stream, declared.compression, expansion, strip_mark=False), scratch) as copy:
            yield from read_parquet(copy, max_record_bytes, limits)


def _write(batches: Iterator[tuple[pa.RecordBatch, int]], target: Path, metadata: str) -> int:
    groups = _groups(batches)
    first = next(groups, None)
    count = 0
    # By its path pyarrow would look for the file system of each file. It writes each header of a page for itself.
    with (
        pa.OSFile(str(target), "wb") as file,
        pa.BufferedOutputStream(file, _BUFFER_BYTES) as buffered,
        pq.ParquetWriter(
            buffered,
            _SCHEMA,
            # Each compression is made for itself, which costs a small file more than all else of the column.
            compression=_compressions(first),
            use_dictionary=False,
            column_encoding=dict.fromkeys(_NUMBERS, "DELTA_BINARY_PACKED"),
            data_page_size=_PAGE_BYTES,
            write_statistics=["source_record"],
            store_schema=False,
        ) as writer,
    ):
        for group in itertools.chain([first] if first else [], groups):
            positions = pa.array(np.arange(count + 1, count + len(group) + 1))
            table = pa.Table.from_arrays([positions, *group.columns], schema=_SCHEMA)
            writer.write_table(table, row_group_size=len(group))
            count += len(group)
        writer.add_key_value_metadata({METADATA_KEY: metadata})
    return count


def _compressions(group: pa.Table | None) -> dict[str, str]:
    """Columns of texts are compressed, if the first row group has any in them; numbers are small already."""
    columns = [] if group is None else zip(group.column_names, group.columns, strict=True)
    texts = {name for name, column in columns if name not in _NUMBERS and column.null_count < len(column)}
    return {name: "zstd" if name in texts else "none" for name in _SCHEMA.names}


def _groups(batches: Iterator[tuple[pa.RecordBatch, int]]) -> Iterator[pa.Table]:
    """The batches, which come with their bytes, joined to tables that are row groups."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch, nbytes in batches:
        if batch.num_rows:
            waiting.append(batch)
            rows += batch.num_rows
            size += nbytes
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pa.Table.from_batches(waiting, records.schema())
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting, records.schema())


def _read_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches, read in a thread of their own while earlier ones are written."""
    done = object()
    ready: queue.Queue[Any] = queue.Queue(_AHEAD)
    abandoned = threading.Event()

    def read() -> None:
        last: Any = done
        try:
            for batch in batches:
                ready.put(batch)
                if abandoned.is_set():
                    return
        except BaseException as error:
            last = error
        ready.put(last)

    thread = threading.Thread(target=read, name="read-ahead", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not done:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        abandoned.set()
        while thread.is_alive():
            while not ready.empty():
                ready.get_nowait()
            thread.join(0.01)
