"""The row groups of a Parquet file, as its footer describes them."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any, BinaryIO

from activity_audit.base.delivery_limits import Limits
from activity_audit.ingest.readers.thrift import Compact, DamageError

# A file ends with the footer, its length and these.
_MAGIC = b"PAR1"
_TAIL = 4 + len(_MAGIC)
# In memory a footer takes some ten times what it has in the file.
_FACTOR = 16
# The name under which Arrow notes the types that it wrote, and one of the same length that means nothing.
_NOTE, _NO_NOTE = b"ARROW:schema", b"ARROW_schema"
_GROUPS = 4
_COLUMNS, _ROWS = 1, 3
_METADATA = 3
_VALUES, _UNCOMPRESSED, _COMPRESSED, _DATA_OFFSET, _DICTIONARY_OFFSET = 5, 6, 7, 9, 11


@dataclass(frozen=True)
class ColumnChunk:
    """Where a column of a row group is in the file, and what it is said to have; sizes in bytes."""

    start: int
    length: int
    uncompressed: int
    values: int


@dataclass(frozen=True)
class RowGroup:
    """A row group as the footer has it."""

    rows: int
    columns: list[ColumnChunk]


def footer(stream: BinaryIO, limits: Limits) -> bytes:
    """The footer of the file.

    Raises:
        DeliveryError: if it takes more memory to read than `limits` say.
        DamageError: if there is none.
    """
    end = stream.seek(0, os.SEEK_END)
    stream.seek(max(end - _TAIL, 0))
    tail = stream.read(_TAIL)
    size = int.from_bytes(tail[:4], "little")
    if len(tail) < _TAIL or not tail.endswith(_MAGIC) or size + _TAIL > end:
        raise DamageError("the file has no footer")
    if _FACTOR * size > limits.delivery_memory:
        raise limits.too_much_memory("its footer", _FACTOR * size)
    stream.seek(end - _TAIL - size)
    return stream.read(size)


def without_note(content: bytes) -> BinaryIO:
    """A file with this footer and without what Arrow has noted of the types that it wrote."""
    return io.BytesIO(_MAGIC + content.replace(_NOTE, _NO_NOTE) + len(content).to_bytes(4, "little") + _MAGIC)


def row_groups(content: bytes) -> list[RowGroup]:
    """The row groups that a footer lists.

    Raises:
        DamageError: if it does not list them as it should.
    """
    fields = Compact(io.BytesIO(content), 0, len(content)).struct()
    return [
        RowGroup(_number(group, _ROWS), [_column(column) for column in _list(group, _COLUMNS)])
        for group in _list(fields, _GROUPS)
    ]


def _column(fields: Any) -> ColumnChunk:
    metadata = fields.get(_METADATA) if isinstance(fields, dict) else None
    data = _number(metadata, _DATA_OFFSET)
    dictionary = _number(metadata, _DICTIONARY_OFFSET, data)
    return ColumnChunk(
        start=dictionary if 0 < dictionary < data else data,
        length=_number(metadata, _COMPRESSED),
        uncompressed=_number(metadata, _UNCOMPRESSED),
        values=_number(metadata, _VALUES),
    )


def _list(fields: Any, number: int) -> list[Any]:
    value = fields.get(number) if isinstance(fields, dict) else None
    if not isinstance(value, list):
        raise DamageError("the footer has no list where one should be")
    return value


def _number(fields: Any, number: int, otherwise: int | None = None) -> int:
    value = fields.get(number, otherwise) if isinstance(fields, dict) else None
    if not isinstance(value, int):
        raise DamageError("the footer has no number where one should be")
    return value
