"""Writes a file of the report, whole or not at all.

CSV is UTF-8 with a header, and no cell that a spreadsheet would run as a formula; what it is about is in a second file,
`<name>.about.json`. Parquet has exactly what the warehouse has, and what it is about in the metadata of its footer.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import duckdb
import pyarrow as pa
from pyarrow import compute, csv, parquet

from activity_audit.base.files import rewrite
from activity_audit.base.hours import HOUR, aware
from activity_audit.base.shown_text import FORMULA
from activity_audit.base.vocabulary import FACT
from activity_audit.report.export.about import About
from activity_audit.report.export.layout import AS_EVER, Layout
from activity_audit.report.export.xlsx_file import XlsxFile
from activity_audit.report.queries.orders import TIME, order_by
from activity_audit.report.titles import TITLES
from activity_audit.warehouse import lake
from activity_audit.warehouse.events.coverage import coverage_of_file
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.masked import masked as masked_rows

if TYPE_CHECKING:
    from activity_audit.settings.core import Settings
_MOST_ROWS_SORTED = 500_000
_BATCH = 50_000
_TIME = "%Y-%m-%d %H:%M:%S"


class ReportFile(Protocol):
    """A file that is being written: opened with its path and the rows' schema, then given batches, then closed."""

    def write(self, batch: pa.RecordBatch) -> None: ...
    def close(self, about: About) -> None: ...


def export(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    filters: Filters,
    target: Path,
    made_at: datetime,
    on_rows: Callable[[int], None] = lambda _: None,
    *,
    masked: bool = False,
    layout: Layout = AS_EVER,
) -> About:
    """Write everything that the filters keep to `target`, in the format of its suffix, in place of what is there.

    Args:
        connection: a pinned reader of the warehouse.
        settings: say which feeds are expected, and since when.
        filters: what to write.
        target: ends in a key of `FORMATS`; its folder exists.
        made_at: the time that the file says it was made.
        on_rows: told of every batch of rows that is written.
        masked: whether the rows have fields masked, which the file then says.
        layout: the columns and the order of the rows, and the link to the view.

    Raises:
        OSError: if the file cannot be written. What was there under its name then is still there.
    """

    def about(rows: int) -> About:
        covered = coverage_of_file(connection, settings, filters, made_at)
        return About(filters, lake.snapshot(connection), made_at, rows, covered, masked, layout=layout)

    return write_whole(target, schema(layout), batches(connection, filters, layout, masked=masked), on_rows, about)


def write_whole(
    target: Path,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    on_rows: Callable[[int], None],
    about: Callable[[int], About],
) -> About:
    """Write the batches, and what the file is about, which is asked for with their rows, to `target` or not at all."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        rows = 0
        file = FORMATS[target.suffix.lower()](unfinished, schema)
        for batch in batches:
            file.write(batch)
            rows += batch.num_rows
            on_rows(batch.num_rows)
        said = about(rows)
        file.close(said)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    if target.suffix.lower() == ".csv":
        about_beside(target, said)
    return said


def expected_rows(connection: duckdb.DuckDBPyConnection, filters: Filters) -> int:
    """How many rows a file will have at most: exactly so many where `where_hourly` is exact."""
    return sum(count for _, count in hourly_counts(connection, filters))


def batches(
    connection: duckdb.DuckDBPyConnection, filters: Filters, layout: Layout = AS_EVER, *, masked: bool = False
) -> Iterator[pa.RecordBatch]:
    """The columns under their titles; times are plain UTC timestamps to the microsecond.

    In an order by time, a part of the period is sorted after the other. In any other all rows are sorted at once, and
    DuckDB writes to the disk what does not fit into its memory. Nothing else may be asked of the connection meanwhile.
    """
    names = ", ".join(f'{field} as "{TITLES[field]}"' for field in layout.columns)
    events = masked_rows(FACT) if masked else FACT
    by_time = layout.order.field == TIME
    cut = list(parts(filters, hourly_counts(connection, filters))) if by_time else [filters]
    for part in cut if layout.order.descending or not by_time else reversed(cut):
        where, values = part.where()
        order = order_by(layout.order.terms)
        found = connection.execute(f"select {names} from {events} where {where} order by {order}", values)
        yield from found.to_arrow_reader(_BATCH)


def schema(layout: Layout = AS_EVER) -> pa.Schema:
    """The titles and types of the batches."""
    types = {TIME: pa.timestamp("us")}
    return pa.schema([(TITLES[field], types.get(field, pa.string())) for field in layout.columns])


def hourly_counts(connection: duckdb.DuckDBPyConnection, filters: Filters) -> list[tuple[datetime, int]]:
    """How many events there are at most in each event hour that has some, newest first; plain UTC hours.

    At most, because the aggregate knows whole hours only, and not every field that may be filtered by.
    """
    where, values = filters.where_hourly()
    return connection.execute(
        "select event_hour_utc, cast(sum(event_count) as bigint) from audit.main.agg_activity_hourly "
        f"where {where} group by all order by event_hour_utc desc",
        values,
    ).fetchall()


def parts(filters: Filters, counts: Sequence[tuple[datetime, int]], most: int = _MOST_ROWS_SORTED) -> Iterator[Filters]:
    """The filters for one part of the period after the other, newest first: of `most` events, or one hour.

    `counts` has the plain UTC hours in which there are events, newest first; hours without any are in no part.
    """
    end, begin, held = filters.end, filters.end, 0
    for plain_hour, count in counts:
        hour = aware(plain_hour)
        if held and held + count > most:
            yield replace(filters, start=begin, end=end)
            held = 0
        if not held:
            end = min(hour + HOUR, filters.end)
        begin = max(hour, filters.start)
        held += count
    if held:
        yield replace(filters, start=begin, end=end)


class CsvFile:
    """A CSV file of the report that is being written at `path`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._writer = csv.CSVWriter(path, _as_text(schema.empty_table()).schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_table(_as_text(pa.Table.from_batches([batch])))

    def close(self, about: About) -> None:
        """End the file; what it is about stands beside it."""
        self._writer.close()


def about_beside(path: Path, about: About) -> Path:
    """Write the file beside the CSV file `path` that says what that is about."""
    beside = path.with_name(f"{path.name}.about.json")
    rewrite(beside, json.dumps(about.as_dict(), ensure_ascii=False, indent=2) + "\n")
    return beside


def _as_text(table: pa.Table) -> pa.Table:
    # Titles of a cross table are values that events have.
    titles = [re.sub(FORMULA, r"'\1", title) for title in table.column_names]
    return pa.Table.from_arrays([_column_as_text(column) for column in table.columns], names=titles)


def _column_as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        return compute.strftime(column, format=_TIME)
    if pa.types.is_string(column.type):
        return compute.replace_substring_regex(column, pattern=FORMULA, replacement=r"'\1")
    return column


class ParquetFile:
    """A Parquet file of the report that is being written at `path`."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = pa.schema([field.with_type(_in_utc(field.type)) for field in schema])
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        self._writer.write_batch(batch.cast(self._schema))

    def close(self, about: About) -> None:
        """End the file with what it is about."""
        self._writer.add_key_value_metadata(about.as_texts())
        self._writer.close()


def _in_utc(kind: pa.DataType) -> pa.DataType:
    """The type that tells every reader of the file that its times are UTC."""
    return pa.timestamp(kind.unit, "UTC") if pa.types.is_timestamp(kind) else kind


FORMATS: dict[str, Callable[[Path, pa.Schema], ReportFile]] = {
    ".csv": CsvFile, ".xlsx": XlsxFile, ".parquet": ParquetFile
}  # fmt: skip
