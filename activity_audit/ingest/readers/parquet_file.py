"""A Parquet file read by Arrow, in pieces of the size that is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from activity_audit.base.delivery_limits import Limits
from activity_audit.ingest.readers.csv_rows import unique
from activity_audit.ingest.readers.parquet_footer import DamageError, footer, row_groups, without_note
from activity_audit.ingest.readers.parquet_groups import errors, raise_if_real
from activity_audit.ingest.readers.parquet_plan import Extent

_BUFFER = 1 << 20


class ParquetFile:
    """An open file, and its metadata, which are read once.

    Raises:
        DeliveryError: if its footer is too large.
    """

    def __init__(self, stream: BinaryIO, limits: Limits) -> None:
        self.stream = stream
        self._footer = footer(stream, limits)
        self.groups = row_groups(self._footer)
        self.extent = Extent(stream.seek(0, os.SEEK_END))
        self.metadata = pq.read_metadata(self._source())
        schema = self._open(self.metadata, []).schema_arrow
        self.names = unique(schema.names)
        # The numbers of the file's columns in each column of the schema.
        self.leaves: list[list[int]] = []
        first = 0
        for kind in schema.types:
            self.leaves.append(list(range(first, first := first + _leaves(kind))))
        if {first} != {self.metadata.num_columns, *(len(group.columns) for group in self.groups)}:
            raise DamageError("its schema does not fit its columns")

    def batches(
        self, group: int, columns: Sequence[int] | None, batch_rows: int, dictionaries: Sequence[str]
    ) -> Iterator[Any]:
        """The rows of a row group from its beginning, of these of the file's columns, or of all.

        Of some columns all is read as the file has it, whatever Arrow's own note in the file says of their types: a
        column that is a dictionary by it cannot be read at all where one of its values is no UTF-8.
        """
        numbers = list(range(self.metadata.num_columns) if columns is None else columns)
        reader = self._open(self.metadata if columns is None else self._without_note, dictionaries).reader
        return iter(reader.iter_batches(batch_rows, row_groups=[group], column_indices=numbers, use_threads=False))

    def longest(self, group: int, column: int, path: str) -> int | None:
        """The length in bytes of the longest value in the column's dictionary; None where it cannot be told."""
        try:
            first = next(self.batches(group, [column], 1, [path]), None)
        except errors() as error:
            raise_if_real(error)
            return None
        if first is None or not isinstance(first.column(0), pa.DictionaryArray):
            return None
        lengths = pc.binary_length(first.column(0).dictionary.cast(pa.large_binary()))
        return int(pc.max(lengths).as_py() or 0)

    def _source(self) -> Any:
        return pa.PythonFile(self.stream, mode="r")

    @cached_property
    def _without_note(self) -> Any:
        """The metadata without what Arrow has noted of the types that it wrote."""
        return pq.read_metadata(without_note(self._footer))

    def _open(self, metadata: Any, dictionaries: Sequence[str]) -> Any:
        return pq.ParquetFile(
            self._source(),
            metadata=metadata,
            read_dictionary=list(dictionaries),
            buffer_size=_BUFFER,
            page_checksum_verification=True,
        )


def _leaves(kind: Any) -> int:
    """How many columns of the file a column of the schema has."""
    if isinstance(kind, pa.BaseExtensionType):
        return _leaves(kind.storage_type)
    if types.is_dictionary(kind) or not types.is_nested(kind):
        return 1
    return sum(_leaves(kind.field(index).type) for index in range(kind.num_fields))
