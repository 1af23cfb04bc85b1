"""The rows of a file in the report's order, in batches: one part of the period after the other, so that a part, and
not the whole, is sorted in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from activity_audit.base.hours import HOUR, aware
from activity_audit.warehouse.events.columns import COLUMNS, NEWEST_FIRST
from activity_audit.warehouse.events.filters import Filters

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_MOST_ROWS_SORTED = 500_000
_BATCH = 50_000


def batches(connection: duckdb.DuckDBPyConnection, filters: Filters) -> Iterator[pa.RecordBatch]:
    """The nine columns under their titles; times are plain UTC timestamps to the microsecond.

    Nothing else may be asked of the connection meanwhile.
    """
    names = ", ".join(f'{column.field} as "{column.title}"' for column in COLUMNS)
    for part in parts(filters, hourly_counts(connection, filters)):
        where, values = part.where()
        found = connection.execute(
            f"select {names} from audit.main.fact_activity_event where {where} order by {NEWEST_FIRST}", values
        )
        yield from found.to_arrow_reader(_BATCH)


def schema() -> pa.Schema:
    """The titles and types of the batches."""
    import pyarrow as pa

    types = {"event_time_utc": pa.timestamp("us")}
    return pa.schema([(column.title, types.get(column.field, pa.string())) for column in COLUMNS])


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
