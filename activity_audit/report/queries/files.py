"""The data files of the fact in one snapshot, and which of them have the events of a period.

To read through the lake means to ask the catalog for the files of every statement, which takes longer than to read a
page of them. A snapshot's files never change, so they are looked up once, and read by their names where that says the
same as the lake does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import duckdb

from activity_audit.base.hours import naive
from activity_audit.base.sql_text import parquet_rows
from activity_audit.base.vocabulary import FACT, FACT_NAME
from activity_audit.report.queries.event_ids import EventIds
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.masked import masked
from activity_audit.warehouse.lake import ALIAS

_CATALOG = f"__ducklake_metadata_{ALIAS}"


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


class Reading(NamedTuple):
    """What reads the events that filters keep, from FROM on, with the values to bind; and about how many rows it reads.

    More conditions may follow, after `and`.
    """

    sql: str
    values: list[Any]
    rows: int


class FactFiles:
    """The files of one snapshot; `are_all` says whether they have every event, or some are elsewhere.

    `event_ids` knows which of them may have an id.
    """

    def __init__(
        self, files: list[FactFile], event_ids: EventIds, *, are_all: bool, shown: Callable[[str], str] = str
    ) -> None:
        self._files = files
        self._event_ids = event_ids
        self._are_all = are_all
        self._shown = shown

    def masked(self) -> FactFiles:
        """The same files, whose events are read with fields masked."""
        return FactFiles(self._files, self._event_ids, are_all=self._are_all, shown=masked)

    def learn_ids(self, scanner: duckdb.DuckDBPyConnection) -> None:
        """Find out which event ids the files have, where it is not known yet."""
        self._event_ids.learn(scanner, [file for file in self._files if file.is_plain])

    def reading(self, filters: Filters) -> Reading:
        """How to read the events that the filters keep."""
        begin, stop = naive(filters.start), naive(filters.end)
        files = [file for file in self._files if file.last >= begin and file.first < stop]
        # An event without an id is in no file. Which has an id that only its hash is known of is not known.
        ids = [one for one in filters.event_ids if one is not None]
        known = [one for one in ids if isinstance(one, str)]
        if self._are_all and known and len(known) == len(ids):
            files = self._event_ids.among(files, known)
        rows = sum(_rows(file, begin, stop) for file in files)
        where, values = filters.where()
        if not files and self._are_all:
            return Reading(f"from {self._shown(FACT)} where false", [], 0)
        if not (files and self._are_all and all(file.is_plain for file in files)):
            return Reading(f"from {self._shown(FACT)} where {where}", values, rows)
        # To look at the time of every event takes longer than most other conditions do: it is left out where all of
        # a file is in the period.
        inside: list[FactFile] = []
        cut: list[FactFile] = []
        for file in files:
            (inside if begin <= file.first and file.last < stop else cut).append(file)
        conditions, others = filters.event_conditions()
        parts = [(inside, " and ".join(["true", *conditions]), others), (cut, where, values)]
        found = [
            (f"from {self._shown(parquet_rows(*(file.path for file in part)))} where {condition}", bound)
            for part, condition, bound in parts
            if part
        ]
        if len(found) == 1:
            return Reading(*found[0], rows)
        both = " union all ".join(f"select * {sql}" for sql, _ in found)
        return Reading(f"from ({both}) where true", [value for _, bound in found for value in bound], rows)


def fact_files(connection: duckdb.DuckDBPyConnection, snapshot_id: int, event_ids: EventIds) -> FactFiles:
    """The files of the attached snapshot."""
    # What the lake itself finds in each of them, and in what else it reads: rows that the catalog keeps, for example.
    counted = dict(connection.execute(f"select filename, count(*) from {FACT} group by filename").fetchall())
    paths = {PurePosixPath(path).name: path for path in counted}
    found = connection.execute(
        f"""
        with fact as (
            select table_id from {_CATALOG}.ducklake_table inner join {_CATALOG}.ducklake_schema using (schema_id)
            where table_name = '{FACT_NAME}' and schema_name = 'main'
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
        FactFile(path, first, last, rows, is_plain and rows == counted[path])
        for name, first, last, rows, is_plain in found
        if (path := paths.get(PurePosixPath(name).name))
    ]
    return FactFiles(files, event_ids, are_all={file.path for file in files} == set(counted))


def _rows(file: FactFile, begin: datetime, stop: datetime) -> int:
    length = (file.last - file.first).total_seconds()
    inside = (min(file.last, stop) - max(file.first, begin)).total_seconds()
    return round(file.rows * inside / length) if length else file.rows
