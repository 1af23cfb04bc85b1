"""The part of Thrift's compact protocol that Parquet's footers and page headers use.

Arrow reads it too, but gives it to Python in a way that ends the process where a footer contradicts itself.
"""

from __future__ import annotations

from typing import Any, BinaryIO

_AHEAD = 1024
_DEEPEST = 16
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_WIDTHS = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8}


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
