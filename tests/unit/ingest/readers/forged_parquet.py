"""Parquet files that no writer makes: a footer that says anything, over any bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
# Where a column chunk begins in the file, its bytes, and how many values it says that it has.
Chunk = tuple[int, int, int]


def parquet(body: bytes, columns: Sequence[str], groups: Sequence[tuple[int, Sequence[Chunk]]], rows: int) -> bytes:
    """A file of optional text columns; each of the groups says how many rows it has, and where its columns are."""
    root = _struct({4: _text("schema"), 5: _number(_I32, len(columns))})
    leaves = [
        _struct({1: _number(_I32, 6), 3: _number(_I32, 1), 4: _text(name), 6: _number(_I32, 0)}) for name in columns
    ]
    listed = [
        _struct(
            {
                1: _list(_STRUCT, [_chunk(name, *where) for name, where in zip(columns, chunks, strict=True)]),
                2: _number(_I64, 1),
                3: _number(_I64, said),
            }
        )
        for said, chunks in groups
    ]
    footer = _struct(
        {
            1: _number(_I32, 1),
            2: _list(_STRUCT, [root, *leaves]),
            3: _number(_I64, rows),
            4: _list(_STRUCT, listed),
        }
    )
    return b"PAR1" + body + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def page(values: int, content: bytes = b"") -> bytes:
    """An uncompressed data page that says that it has so many values."""
    header = {1: _number(_I32, values), 2: _number(_I32, 0), 3: _number(_I32, 3), 4: _number(_I32, 3)}
    size = _number(_I32, len(content))
    return _struct({1: _number(_I32, 0), 2: size, 3: size, 5: (_STRUCT, _struct(header))}) + content


def _chunk(name: str, start: int, length: int, values: int) -> bytes:
    about = {
        1: _number(_I32, 6),
        2: _list(_I32, [_zigzag(0)]),
        3: _list(_BINARY, [_text(name)[1]]),
        4: _number(_I32, 0),
        5: _number(_I64, values),
        6: _number(_I64, length),
        7: _number(_I64, length),
        9: _number(_I64, start),
    }
    return _struct({2: _number(_I64, start), 3: (_STRUCT, _struct(about))})


def _struct(fields: dict[int, Any]) -> bytes:
    """A struct in Thrift's compact protocol."""
    parts, last = [], 0
    for number, (kind, content) in fields.items():
        parts += [bytes([(number - last) << 4 | kind]), content]
        last = number
    return b"".join(parts) + b"\0"


def _number(kind: int, value: int) -> tuple[int, bytes]:
    return kind, _zigzag(value)


def _text(text: str) -> tuple[int, bytes]:
    return _BINARY, _varint(len(text.encode())) + text.encode()


def _list(kind: int, items: Sequence[bytes]) -> tuple[int, bytes]:
    head = bytes([len(items) << 4 | kind]) if len(items) < 15 else bytes([0xF0 | kind]) + _varint(len(items))
    return _LIST, head + b"".join(items)


def _zigzag(number: int) -> bytes:
    return _varint(number << 1 ^ number >> 63)


def _varint(number: int) -> bytes:
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
