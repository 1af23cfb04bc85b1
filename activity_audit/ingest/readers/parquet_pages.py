"""What the pages of a Parquet file say of themselves, before anything is decoded: how much memory they will take.

A footer can say what it likes; what is decoded is what the headers of the pages say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from activity_audit.ingest.readers.thrift import Compact, DamageError

_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE = 2, 3
_DATA, _DICTIONARY, _DATA_V2 = 5, 7, 8
_VALUES = 1
_ENCODINGS = {_DATA: 2, _DICTIONARY: 2, _DATA_V2: 4}
_DELTA_BYTE_ARRAY = 7
_DICTIONARY_ENCODINGS = (2, 8)


@dataclass(frozen=True)
class Page:
    """A page's header: its size in bytes when it is decompressed, its number of values, and how they are encoded.

    Where it `repeats`, a value may be written as the beginning of the one before it; where it `refers`, as one of the
    dictionary. Then few bytes are many values.
    """

    size: int
    values: int
    is_dictionary: bool
    encoding: int | None

    @property
    def repeats(self) -> bool:
        """Whether values are written by what they have in common with the one before."""
        return self.encoding == _DELTA_BYTE_ARRAY

    @property
    def refers(self) -> bool:
        """Whether values are written as places in the dictionary."""
        return self.encoding in _DICTIONARY_ENCODINGS


def pages(stream: BinaryIO, start: int, length: int) -> Iterator[Page]:
    """The pages of the column chunk that has these bytes of the file.

    Raises:
        DamageError: behind the last page that can be told.
    """
    if start < 0:
        raise DamageError("its pages begin before the file")
    at = start
    while at < start + length:
        header = Compact(stream, at)
        fields = header.struct()
        size, compressed = fields.get(_UNCOMPRESSED_SIZE), fields.get(_COMPRESSED_SIZE)
        kind = next((kind for kind in (_DATA, _DICTIONARY, _DATA_V2) if kind in fields), None)
        if not isinstance(size, int) or not isinstance(compressed, int) or size < 0 or compressed < 0:
            raise DamageError("a page has no size")
        if kind is not None:
            inner = fields[kind]
            values = inner.get(_VALUES) if isinstance(inner, dict) else None
            if not isinstance(values, int) or values < 0:
                raise DamageError("a page has no number of values")
            yield Page(size, values, kind == _DICTIONARY, inner.get(_ENCODINGS[kind]))
        at = header.at + compressed
