"""Writing a file of the report, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from activity_audit.report.export.about import About
from activity_audit.report.export.csv_file import CsvFile, about_beside
from activity_audit.report.export.parquet_file import ParquetFile
from activity_audit.report.export.rows import batches, hourly_counts, schema
from activity_audit.report.export.xlsx_file import XlsxFile
from activity_audit.warehouse import lake
from activity_audit.warehouse.events.coverage import coverage_of_file
from activity_audit.warehouse.events.filters import Filters

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from activity_audit.settings.core import Settings


class ReportFile(Protocol):
    """A file that is being written: opened with its path and the rows' schema, then given batches, then closed."""

    def write(self, batch: pa.RecordBatch) -> None: ...
    def close(self, about: About) -> None: ...


FORMATS: dict[str, Callable[[Path, pa.Schema], ReportFile]] = {
    ".csv": CsvFile, ".xlsx": XlsxFile, ".parquet": ParquetFile
}  # fmt: skip


def export(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    filters: Filters,
    target: Path,
    made_at: datetime,
    on_rows: Callable[[int], None] = lambda _: None,
) -> About:
    """Write everything that the filters keep to `target`, in the format of its suffix, in place of what is there.

    Args:
        connection: a pinned reader of the warehouse.
        settings: say which feeds are expected, and since when.
        filters: what to write.
        target: ends in a key of `FORMATS`; its folder exists.
        made_at: the time that the file says it was made.
        on_rows: told of every batch of rows that is written.

    Raises:
        OSError: if the file cannot be written. What was there under its name then is still there.
    """
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        rows = 0
        file = FORMATS[target.suffix.lower()](unfinished, schema())
        for batch in batches(connection, filters):
            file.write(batch)
            rows += batch.num_rows
            on_rows(batch.num_rows)
        covered = coverage_of_file(connection, settings, filters, made_at)
        about = About(filters, lake.snapshot(connection), made_at, rows, covered)
        file.close(about)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    if target.suffix.lower() == ".csv":
        about_beside(target, about)
    return about


def expected_rows(connection: duckdb.DuckDBPyConnection, filters: Filters) -> int:
    """How many rows a file will have at most: exactly so many where `where_hourly` is exact."""
    return sum(count for _, count in hourly_counts(connection, filters))
