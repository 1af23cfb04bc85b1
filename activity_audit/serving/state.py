"""What a serving copy is of: the one row of its table `main.serving_copy`, which commits with what it tells of.

The connection of these functions has the warehouse attached as `audit`, at one snapshot, and the copy as `copy`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

import duckdb

from activity_audit.base.hours import naive, now_utc
from activity_audit.warehouse import lake
from activity_audit.warehouse.contract import Column
from activity_audit.warehouse.lake_catalog import warehouse_id

COPY = "copy"
TABLE = "serving_copy"
DEFAULT_DAYS = 90
DESCRIPTION = "Of which state of the warehouse this copy is. One row."
COLUMNS = (
    Column("warehouse_id", "varchar", True, "The warehouse that it is a copy of."),
    Column("snapshot_id", "bigint", True, "The snapshot of the warehouse."),
    Column("snapshot_at_utc", "timestamp", True, "When that snapshot was published, UTC."),
    Column("run_id", "varchar", False, "The newest run that it has."),
    Column("days", "bigint", True, "How many days of events it has, back from the newest event."),
    Column("events_from_utc", "timestamp", False, "The first of these days, UTC; null without events."),
    Column("events_left_out", "bigint", True, "How many older events the warehouse has and the copy leaves out."),
    Column("copied_at_utc", "timestamp", True, "When the copy was brought to that snapshot, UTC."),
)


@dataclass(frozen=True)
class State:
    """A state of a copy; the fields are the columns of its row, times are plain UTC."""

    warehouse_id: str
    snapshot_id: int
    snapshot_at_utc: datetime
    run_id: str | None
    days: int | None
    events_from_utc: datetime | None
    events_left_out: int
    copied_at_utc: datetime

    def is_as_new_as(self, other: State) -> bool:
        """Whether both have the same rows in every table."""
        return self._content() == other._content()

    def _content(self) -> tuple[object, ...]:
        return (self.warehouse_id, self.snapshot_id, self.snapshot_at_utc, self.days)


def of_copy(connection: duckdb.DuckDBPyConnection) -> State | None:
    """The state that the copy has; None if it was never brought to one."""
    if not columns_of(connection, "main", TABLE):
        return None
    names = ", ".join(field.name for field in fields(State))
    row = connection.execute(f"select {names} from {COPY}.main.{TABLE}").fetchone()
    return State(*row) if row else None


def columns_of(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[str]:
    """The columns of a table or view of the copy; none if it is not there."""
    query = """
        select column_name from duckdb_columns() where database_name = ? and schema_name = ? and table_name = ?
        order by column_index
    """
    return [name for (name,) in connection.execute(query, [COPY, schema, table]).fetchall()]


def of_warehouse(connection: duckdb.DuckDBPyConnection, days: int | None) -> State:
    """The state that a copy of the attached snapshot has, with the events of so many days, or with all.

    The days end with that of the newest event, so that the same snapshot always gives the same copy.
    """
    found = lake.snapshot(connection)
    hours = "audit.main.agg_activity_hourly"
    newest = connection.execute(f"select max(event_hour_utc) from {hours}").fetchall()[0][0]
    start = newest.replace(hour=0) - timedelta(days=days - 1) if newest and days else None
    query = f"select coalesce(sum(event_count), 0)::bigint from {hours} where event_hour_utc < ?"
    return State(
        warehouse_id(connection),
        found.snapshot_id,
        naive(found.taken_at),
        found.run_id,
        days,
        start,
        connection.execute(query, [start]).fetchall()[0][0],
        naive(now_utc()),
    )


def can_follow(connection: duckdb.DuckDBPyConnection, copied: State, newest: State) -> bool:
    """Whether the warehouse still knows what changed since a copy's state.

    It does not once that snapshot is expired, or if a backup was restored since, or it is another warehouse.
    """
    query = "select make_timestamp(epoch_us(snapshot_time)) from audit.snapshots() where snapshot_id = ?"
    at = connection.execute(query, [copied.snapshot_id]).fetchall()
    return copied.warehouse_id == newest.warehouse_id and at == [(copied.snapshot_at_utc,)]
