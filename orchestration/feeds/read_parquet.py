"""Parquet deliveries to record batches: each row becomes a JSON object of texts under the columns' names.

Times are written as ISO 8601, those of a column in a time zone with `Z`; numbers keep all their digits; lists
and structures are JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

from orchestration.feeds import json_text, records
from orchestration.feeds.csv_rows import unique

if TYPE_CHECKING:
    import pyarrow as pa

# Few, because rows that are small in the file, by its dictionary, may be large.
_BATCH_ROWS = 500
_BATCH_BYTES = 16 << 20


def read_parquet(stream: BinaryIO, max_bytes: int) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, in order.

    A file that is no Parquet file is one unparseable record, its content. A row group that cannot be read is
    one unparseable record that says so; the other row groups are read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(pa.PythonFile(stream, mode="r"), page_checksum_verification=True)
        names = unique(file.schema_arrow.names)
        groups = file.num_row_groups
    except _file_errors() as error:
        _raise_if_real(error)
        yield from records.to_batches([unreadable(stream, max_bytes)])
        return
    missing = file.metadata.num_rows
    for group in range(groups):
        done = 0
        error_text = "they are not there"
        try:
            for batch in file.iter_batches(_batch_rows(file, group), row_groups=[group], use_threads=False):
                yield from _objects(batch, names, max_bytes)
                done += batch.num_rows
        except _file_errors() as error:
            _raise_if_real(error)
            error_text = str(error)
        rows = file.metadata.row_group(group).num_rows
        missing -= rows
        if rows != done:
            reason = f"the last {rows - done} rows of row group {group + 1} of {groups} are damaged: {error_text}"
            yield from records.to_batches([records.broken_off(reason)])
    if missing:
        # A file that contradicts itself may have lost a whole row group from its list.
        reason = f"the file says that it has {file.metadata.num_rows} rows, its row groups differ by {missing}"
        yield from records.to_batches([records.broken_off(reason)])


def _batch_rows(file: Any, group: int) -> int:
    """How many rows of a row group are read at once."""
    metadata = file.metadata.row_group(group)
    average = metadata.total_byte_size // max(metadata.num_rows, 1)
    return min(max(_BATCH_BYTES // max(average, 1), 1), _BATCH_ROWS)


def unreadable(stream: BinaryIO, max_bytes: int, reason: str | None = None) -> records.Record:
    """A file that is not what its name says, as one unparseable record with its bytes; `reason` is its text, if any."""
    stream.seek(0)
    content = stream.read(max(max_bytes, records.KEPT_BYTES) + 1)
    if len(content) <= max_bytes:
        if reason:
            return records.Record(reason, "unparseable", content, len(content))
        return records.from_bytes(content, max_bytes, "unparseable")
    stream.seek(0)
    # Every binary stream of ours has the `readinto` that is asked for; the type BinaryIO does not say so.
    digest = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
    record = records.too_large(content, stream.seek(0, os.SEEK_END), digest)
    return replace(record, text=reason, content=content[: records.KEPT_BYTES]) if reason else record


def _file_errors() -> tuple[type[Exception], ...]:
    import pyarrow as pa

    return pa.ArrowException, OSError, ValueError, MemoryError


def _raise_if_real(error: Exception) -> None:
    """Arrow's own complaints about a file are OSErrors without a number; a failing disk's have one."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error


def _objects(batch: pa.RecordBatch, names: Sequence[str], max_bytes: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [_texts(column) for column in batch.columns]
    if columns and all(isinstance(column, pa.StringArray) for column in columns):
        text = json_text.objects(names, columns)
        lengths = pc.binary_length(text)
        if (pc.max(lengths).as_py() or 0) <= max_bytes:
            yield records.text_batch(text, lengths)
            return
    # Some rows are too large, are no UTF-8, or have values that are no texts.
    lists = [_values(column) for column in columns]
    rows = (dict(zip(names, values, strict=True)) for values in zip(*lists, strict=True))
    texts = (json_text.encode(row) for row in (rows if columns else ({} for _ in range(batch.num_rows))))
    contents = (text.encode("utf-8", errors="surrogateescape") for text in texts)
    yield from records.to_batches(records.from_bytes(content, max_bytes) for content in contents)


def _values(column: Any) -> list[Any]:
    """A column as JSON values; bytes that are no UTF-8 stay recognisable."""
    import pyarrow as pa

    if isinstance(column, list):
        return column
    contents = column.cast(pa.binary()).to_pylist()
    return [None if content is None else content.decode("utf-8", errors="surrogateescape") for content in contents]


def _texts(column: Any) -> Any:
    """A column as a string array; as binary where it is no UTF-8, and as a list where its values are nested."""
    import pyarrow as pa
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        return _texts(column.dictionary_decode())
    if isinstance(kind, pa.BaseExtensionType) or types.is_nested(kind):
        return [_plain(value) for value in column]
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _decoded(column.cast(pa.binary()))
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return _decoded(column.cast(pa.binary()))
    if types.is_fixed_size_binary(kind):
        return _decoded(column.cast(pa.binary()))
    if types.is_timestamp(kind):
        return _times(column)
    try:
        return column.cast(pa.string())
    except (pa.ArrowException, NotImplementedError):
        return pa.array([None if value is None else str(value) for value in map(_plain, column)], pa.string())


def _decoded(column: Any) -> Any:
    import pyarrow as pa

    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return column


def _times(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = column.cast(pa.timestamp(column.type.unit, "UTC")) if column.type.tz else column
    return pc.replace_substring_regex(plain.cast(pa.string()), r"^(\S+-\d\d-\d\d) ", r"\1T")


def _nested_text(value: Any) -> str:
    return value.decode("utf-8", errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _plain(scalar: Any) -> Any:
    """A value as JSON can have it: what JSON has no form for is text."""
    try:
        value = scalar.as_py()
        return None if value is None else json.loads(json.dumps(value, default=_nested_text), parse_constant=str)
    except (ValueError, OverflowError, TypeError):
        return f"a value of the type {scalar.type} that cannot be shown"
