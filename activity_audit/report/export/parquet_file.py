"""Parquet: exactly what the warehouse has, and what the file is about as key-value metadata of its footer."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from activity_audit.report.export.about import About


class ParquetFile:
    """A Parquet file of the report that is being written at `path`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = parquet.ParquetWriter(path, schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_batch(batch)

    def close(self, about: About) -> None:
        """End the file with what it is about."""
        self._writer.add_key_value_metadata(about.as_texts())
        self._writer.close()
