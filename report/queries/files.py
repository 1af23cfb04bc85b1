"""The data files of the fact in one snapshot, and which of them have the events of a period.

To read through the lake means to ask the catalog for the files of every statement, which takes longer than to read a
page of them. A snapshot's files never change, so they are looked up once, and read by their names where that says the
same as the lake does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from orchestration.hours import naive
from orchestration.lake import ALIAS
from orchestration.sql_text import literal

if TYPE_CHECKING:
    import duckdb

FACT = f"{ALIAS}.main.fact_activity_event"
_CATALOG = f"__ducklake_metadata_{ALIAS}"
# Of so many files the catalog's answer costs less than their names in a statement.
_MOST_NAMED = 64
_PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class FactFile:
    """A data file, the first and the last event time that it has, plain UTC, and how many rows.

    `is_plain` says whether its rows, as they are written, are the snapshot's: none is deleted, encrypted, or from
    before a column was changed.
    """

    path: str
    first: datetime
    last: datetime
    rows: int
    is_plain: bool


@dataclass(frozen=True)
class Source:
    """What stands behind FROM to read the events of a period, and about how many rows are read."""

    sql: str
    rows: int


class FactFiles:
    """The files of one snapshot; `are_all` says whether they have every event, or some are elsewhere."""

    def __init__(self, files: list[FactFile], *, are_all: bool) -> None:
        self._files = files
        self._are_all = are_all

    @property
    def rows(self) -> int:
        """How many events there are in all of them."""
        return sum(file.rows for file in self._files)

    def between(self, start: datetime, end: datetime) -> Source:
        """Where the events of the half-open period are, aware; other events are there too."""
        begin, stop = naive(start), naive(end)
        files = [file for file in self._files if file.last >= begin and file.first < stop]
        rows = sum(_rows(file, begin, stop) for file in files)
        is_named = self._are_all and all(file.is_plain for file in files) and 0 < len(files) <= _MOST_NAMED
        if not is_named:
            return Source(FACT, rows)
        names = ", ".join(literal(file.path) for file in files)
        return Source(f"read_parquet([{names}], hive_partitioning = false)", rows)


def fact_files(connection: duckdb.DuckDBPyConnection, snapshot_id: int) -> FactFiles:
    """The files of the attached snapshot."""
    # What the lake itself finds in each of them, and in what else it reads: rows that the catalog keeps, for example.
    counted = dict(connection.execute(f"select filename, count(*) from {FACT} group by filename").fetchall())
    paths = {PurePosixPath(path).name: path for path in counted}
    found = connection.execute(
        f"""
        with fact as (
            select table_id from {_CATALOG}.ducklake_table inner join {_CATALOG}.ducklake_schema using (schema_id)
            where table_name = 'fact_activity_event' and schema_name = 'main'
        ),
        columns as (
            select column_id, column_name, begin_snapshot from {_CATALOG}.ducklake_column
            where table_id in (from fact) and begin_snapshot <= $snapshot
            and (end_snapshot is null or end_snapshot > $snapshot)
        )
        select
            file.path,
            cast(min_value as timestamp),
            cast(max_value as timestamp),
            file.record_count,
            file.encryption_key is null and file.mapping_id is null
            and file.begin_snapshot >= (select max(begin_snapshot) from columns)
        from {_CATALOG}.ducklake_data_file as file
        inner join {_CATALOG}.ducklake_file_column_stats as stats using (data_file_id)
        where file.table_id in (from fact) and min_value is not null
        and stats.column_id in (select column_id from columns where column_name = 'event_time_utc')
        """,
        {"snapshot": snapshot_id},
    ).fetchall()
    files = [
        FactFile(path, first, last, rows, is_plain and rows == counted[path] and not _PATTERN.intersection(path))
        for name, first, last, rows, is_plain in found
        if (path := paths.get(PurePosixPath(name).name))
    ]
    return FactFiles(files, are_all={file.path for file in files} == set(counted))


def _rows(file: FactFile, begin: datetime, stop: datetime) -> int:
    length = (file.last - file.first).total_seconds()
    inside = (min(file.last, stop) - max(file.first, begin)).total_seconds()
    return round(file.rows * inside / length) if length else file.rows
