"""Columns of a Parquet file as texts and JSON values, of which none is lost.

Times are written as ISO 8601, those of a column in a time zone with `Z`; numbers keep all their digits; lists and
structures are JSON.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from activity_audit.ingest.readers.csv_rows import unique

# What a value that is no text takes at least, when it is one of a list in Python.
_VALUE_BYTES = 24


def texts(column: Any) -> Any:
    """A column as a string array; as binary where it is no UTF-8, and as a list where its values are nested."""
    kind = column.type
    if types.is_dictionary(kind):
        return texts(_decoded_dictionary(column))
    if isinstance(kind, pa.BaseExtensionType) or types.is_nested(kind):
        return values(column)
    if _is_bytes(kind):
        content = column.cast(pa.binary())
        return _text(content, content)
    if types.is_timestamp(kind):
        return _times(column)
    return _text(column, None)


def column_values(column: Any) -> list[Any]:
    """What `texts` made of a column, as JSON values; bytes that are no UTF-8 stay recognisable."""
    if isinstance(column, list):
        return column
    contents = column.cast(pa.binary()).to_pylist()
    return [None if content is None else content.decode("utf-8", errors="surrogateescape") for content in contents]


def values(column: Any) -> list[Any]:
    """A column as JSON values: what JSON has no form for is text, and so is each value that Python has no form for."""
    kind = column.type
    if types.is_dictionary(kind):
        known = values(column.dictionary)
        return [None if index is None else known[index] for index in column.indices.to_pylist()]
    if types.is_struct(kind):
        names = unique([kind.field(index).name for index in range(kind.num_fields)])
        members = zip(*map(values, column.flatten()), strict=True) if names else (() for _ in column)
        there = column.is_valid().to_pylist()
        return [
            dict(zip(names, row, strict=True)) if is_there else None
            for row, is_there in zip(members, there, strict=True)
        ]
    if types.is_map(kind):
        pairs = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        entries = values(column.cast(pa.list_(pairs)))
        return [None if entry is None else [list(pair.values()) for pair in entry] for entry in entries]
    if types.is_nested(kind) and not types.is_union(kind):
        return _lists(column)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return column_values(column)
    if types.is_boolean(kind) or types.is_integer(kind):
        return list(column.to_pylist())
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        return values(column.storage)
    return [_plain(value) for value in column]


def size(column: Any) -> int:
    """About how many bytes the texts of a column have, a value that a dictionary has once as often as it is there."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return size(column.storage)
    if types.is_dictionary(kind):
        if not _is_bytes(kind.value_type):
            return len(column) * _VALUE_BYTES
        return pc.sum(_lengths(column.dictionary).take(column.indices)).as_py() or 0
    if types.is_struct(kind):
        return sum(map(size, column.flatten())) + len(column) * _VALUE_BYTES
    if types.is_map(kind):
        return size(_entries(column)) + len(column) * _VALUE_BYTES
    if types.is_nested(kind) and not types.is_union(kind):
        return size(column.flatten()) + len(column) * _VALUE_BYTES
    if _is_bytes(kind):
        return int(column.nbytes)
    return len(column) * _VALUE_BYTES


def count(column: Any) -> int:
    """How many single values a column has."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return count(column.storage)
    if types.is_struct(kind):
        return sum(map(count, column.flatten())) + len(column)
    if types.is_map(kind):
        return count(_entries(column))
    if types.is_nested(kind) and not types.is_union(kind):
        return count(column.flatten())
    return len(column)


def _entries(column: Any) -> Any:
    """The keys and values of all maps."""
    kind = column.type
    return column.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))).flatten()


def _is_bytes(kind: Any) -> bool:
    return any(
        is_so(kind)
        for is_so in (
            types.is_string, types.is_large_string, types.is_string_view,
            types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary,
        )
    )  # fmt: skip


def _lengths(column: Any) -> Any:
    """The length of each text in bytes, as 64-bit numbers, whose sum is no overflow."""
    if isinstance(column.type, pa.FixedSizeBinaryType):
        return pa.array([column.type.byte_width] * len(column), pa.int64())
    return pc.binary_length(column.cast(pa.large_binary())).cast(pa.int64())


def _decoded_dictionary(column: Any) -> Any:
    """A dictionary column as what it stands for; texts as bytes, because one of them may be no UTF-8."""
    dictionary = column.dictionary
    if _is_bytes(dictionary.type):
        dictionary = dictionary.cast(pa.binary())
    return dictionary.take(column.indices)


def _lists(column: Any) -> list[Any]:
    """A column of lists, of whatever kind."""
    items = values(column.flatten())
    result: list[Any] = []
    at = 0
    for is_there, length in zip(column.is_valid().to_pylist(), column.value_lengths().to_pylist(), strict=True):
        if not is_there:
            result.append(None)
            continue
        result.append(items[at : at + length])
        at += length
    return result


def _text(column: Any, otherwise: Any) -> Any:
    """The column as a string array; where it cannot be, `otherwise`, or each value by itself."""
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if otherwise is not None:
            return otherwise
    return pa.array([None if value is None else str(value) for value in map(_plain, column)], pa.string())


def _times(column: Any) -> Any:
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
        # Python has no such time or day, but a number it is.
        return str(pa.array([scalar]).cast(pa.string())[0])
