"""Counts of one snapshot, held in the memory of its DuckDB: what lists, groups, pictures and pages are found by.

They are made from the published tables when the snapshot is attached, and say the same. `counts.main.kind` has a
number for every combination of application, entity, activity and outcome; `hourly` and `daily` count events by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from activity_audit.warehouse.events.filters import AGGREGATED

if TYPE_CHECKING:
    import duckdb

COUNTS = "counts"
KIND = f"{COUNTS}.main.kind"
HOURLY = f"{COUNTS}.main.hourly"
DAILY = f"{COUNTS}.main.daily"
_PUBLISHED = "audit.main.agg_activity_hourly"


def build(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables; the connection has one snapshot attached, and nothing in memory yet."""
    names = ", ".join(AGGREGATED)
    # DuckLake would ask its catalog for the files that have the names joined with, and a character 0 in one of them
    # ends that question in the middle. All of the table is read anyhow.
    connection.execute("set disabled_optimizers = 'join_filter_pushdown'")
    connection.execute(f"attach ':memory:' as {COUNTS} (compress)")
    connection.execute(f"""
        create table {KIND} as
        select cast(row_number() over (order by {names}) as integer) as kind, {names}
        from (select distinct {names} from {_PUBLISHED})
    """)
    # The order of time lets a query of a short period skip the rest.
    connection.execute(f"""
        create table {HOURLY} as
        select event_hour_utc as begins, kind, event_count as n
        from {_PUBLISHED} inner join {KIND} using ({names}) order by begins
    """)
    connection.execute(f"""
        create table {DAILY} as
        select date_trunc('day', begins) as begins, kind, cast(sum(n) as bigint) as n
        from {HOURLY} group by all order by 1
    """)
    connection.execute("reset disabled_optimizers")
    # This compresses them, to an eighth or so.
    connection.execute(f"checkpoint {COUNTS}")
