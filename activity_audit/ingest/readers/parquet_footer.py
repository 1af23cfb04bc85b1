"""The row groups of a Parquet file, as its footer describes them in Thrift's compact protocol.

Arrow reads the footer too, but gives it to Python in a way that ends the process where a footer contradicts itself.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import Any, BinaryIO

from activity_audit.base.delivery_limits import Limits

# A file ends with the footer, its length and these.
_MAGIC = b"PAR1"
_TAIL = 4 + len(_MAGIC)
# In memory a footer takes some forty times what it has in the file: Arrow's forms of it, and ours.
_FACTOR = 48
# The name under which Arrow notes the types that it wrote, and one of the same length that means nothing.
_NOTE, _NO_NOTE = b"ARROW:schema", b"ARROW_schema"
_GROUPS = 4
_COLUMNS, _ROWS = 1, 3
_METADATA = 3
_VALUES, _UNCOMPRESSED, _COMPRESSED, _DATA_OFFSET, _DICTIONARY_OFFSET = 5, 6, 7, 9, 11
_AHEAD = 1024
_DEEPEST = 16
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_WIDTHS = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8}


@dataclass(frozen=True, slots=True)
class ColumnChunk:
    """Where a column of a row group is in the file, and what it is said to have; sizes in bytes."""

    start: int
    length: int
    uncompressed: int
    values: int


@dataclass(frozen=True, slots=True)
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


class DamageError(ValueError):
    """What stands in a file is not what should stand there."""


class Compact:
    """Reads structs at a place of a file; `at` is where it goes on. No list has more than `most` items."""

    def __init__(self, stream: BinaryIO, at: int, most: int = 1000) -> None:
        self.at = at
        self._stream = stream
        self._most = most
        self._ready = b""
        self._begins = at

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The integers, structs and lists among the fields, by number; what else there is, is None.

        Raises:
            DamageError: if there is no struct.
        """
        if depth > _DEEPEST:
            raise DamageError("a structure of the file nests too deep")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            fields[number] = self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth)
        if kind == _BINARY:
            length = self._unsigned()
            self.at += length
        elif kind in _WIDTHS:
            self.at += _WIDTHS[kind]
        else:
            raise DamageError("a structure of the file has a field of no known type")
        return None

    def _list(self, depth: int) -> list[Any]:
        if depth > _DEEPEST:
            raise DamageError("a structure of the file nests too deep")
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._unsigned()
        if count > self._most:
            raise DamageError("a structure of the file has a list that is too long")
        # In a list each boolean has a byte.
        kind = _BYTE if head & 15 in (_TRUE, _FALSE) else head & 15
        return [self._value(kind, depth + 1) for _ in range(count)]

    def _integer(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _unsigned(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise DamageError("a structure of the file has a number without an end")

    def _byte(self) -> int:
        offset = self.at - self._begins
        if offset >= len(self._ready):
            self._stream.seek(self.at)
            self._ready = self._stream.read(_AHEAD)
            self._begins, offset = self.at, 0
            if not self._ready:
                raise DamageError("the file ends in a structure")
        self.at += 1
        return self._ready[offset]
