"""Event counts of one snapshot, in memory; the report's lists, groups, charts and pages use them.

They are made from the published tables when the snapshot is attached, and say the same. `counts.main.kind` has a
number for every combination of application, entity, activity and outcome; `hourly` and `daily` count events by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from activity_audit.base.hours import HOUR, aware
from activity_audit.base.vocabulary import FACT, FACT_NAME
from activity_audit.warehouse.events.filters import AGGREGATED, Filters

COUNTS = "counts"
KIND = f"{COUNTS}.main.kind"
HOURLY = f"{COUNTS}.main.hourly"
DAILY = f"{COUNTS}.main.daily"
_PUBLISHED = "audit.main.agg_activity_hourly"
PEOPLE_FIELDS = ("application", "outcome", "triggered_by")
_COUNTS = "people"
PERSON = f"{_COUNTS}.main.person"
PEOPLE = f"{_COUNTS}.main.people"
MONTHLY = f"{_COUNTS}.main.people_monthly"
_NAMES = ", ".join(PEOPLE_FIELDS)
MOST_INSTANCES = 200


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


def prepare_people(connection: duckdb.DuckDBPyConnection) -> None:
    """Make room for the tables, before the connection is locked."""
    connection.execute(f"attach ':memory:' as {_COUNTS} (compress)")


def build_people(
    connection: duckdb.DuckDBPyConnection,
    scanner: duckdb.DuckDBPyConnection,
    before: duckdb.DuckDBPyConnection | None,
) -> None:
    """Make the tables, out of those of the snapshot `before` where it has them; `scanner` reads the events.

    Events are only ever added, so a day whose number of events is the same has the same events. That does not hold
    where a file of the fact is gone or has rows taken out; then all is counted again.
    """
    columns = ", ".join(f"{name} varchar" for name in PEOPLE_FIELDS)
    connection.execute(f"create table {PERSON} (person integer, {columns})")
    connection.execute(f"create table {PEOPLE} (begins timestamp, application varchar, person integer, n bigint)")
    if before is not None and _files(before) <= _files(connection):
        for table in (PERSON, PEOPLE):
            connection.register("known", before.execute(f"from {table}").to_arrow_table())
            connection.execute(f"insert into {table} from known")
            connection.unregister("known")
    connection.execute(f"""
        create temp table changed as
        select begins
        from (
            select begins, application, outcome, n from {DAILY} inner join {KIND} using (kind)
            union all
            select begins, application, outcome, -n from {PEOPLE} inner join {PERSON} using (person, application)
        )
        group by begins, application, outcome having sum(n) <> 0
    """)
    connection.execute(f"delete from {PEOPLE} where begins in (from changed)")
    days = [day for (day,) in connection.execute("from changed").fetchall()]
    connection.register("counted", _counted(scanner, days))
    connection.execute(f"""
        insert into {PERSON}
        select (select count(*) from {PERSON}) + row_number() over (order by {_NAMES}), {_NAMES}
        from (select distinct {_NAMES} from counted except select {_NAMES} from {PERSON})
    """)
    same = " and ".join(f"counted.{name} is not distinct from person.{name}" for name in PEOPLE_FIELDS)
    connection.execute(f"""
        insert into {PEOPLE}
        select begins, counted.application, person, n from counted inner join {PERSON} as person on {same}
        order by date_trunc('month', begins), counted.application, begins
    """)
    connection.execute(f"""
        create table {MONTHLY} as
        select date_trunc('month', begins) as begins, application, person, cast(sum(n) as bigint) as n
        from {PEOPLE} group by all order by begins, application
    """)
    connection.execute("drop table changed")
    connection.unregister("counted")
    # This compresses them; nobody reads them yet, whom it would have to wait for.
    connection.execute(f"checkpoint {_COUNTS}")


def _counted(scanner: duckdb.DuckDBPyConnection, days: list[datetime]) -> pa.Table:
    """The events of these days, plain UTC, counted by day and the fields."""
    return scanner.execute(
        f"""
        select date_trunc('day', event_time_utc) as begins, {_NAMES}, count(*) as n
        from {FACT}
        where event_time_utc >= list_min($days) and event_time_utc < list_max($days) + interval 1 day
        and date_trunc('day', event_time_utc) in (select unnest($days))
        group by all
        """,
        {"days": days},
    ).to_arrow_table()


def _files(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str | None]]:
    """The fact's data files, each with the file that says which of its rows are gone."""
    rows = connection.execute(
        f"select data_file, delete_file from ducklake_list_files('audit', '{FACT_NAME}', schema => 'main')"
    ).fetchall()
    return {(data, gone) for data, gone in rows}


@dataclass(frozen=True)
class Instances:
    """The whole hours from the first event to the last, UTC; and the instances with the most events, at most `MOST`.

    None is the instance of events that have none.
    """

    start: datetime
    end: datetime
    most: list[tuple[str | None, int]]

    def are_of(self, filters: Filters) -> bool:
        """Whether the filters keep every event."""
        return (
            not filters.fields
            and not filters.day_conditions("")[0]
            and filters.start <= self.start
            and filters.end >= self.end
        )


def count_instances(connection: duckdb.DuckDBPyConnection, scanner: duckdb.DuckDBPyConnection) -> Instances | None:
    """Count those of a snapshot, None if it has no event; `scanner` reads the events."""
    first, last = connection.execute(f"select min(begins), max(begins) from {HOURLY}").fetchall()[0]
    if first is None:
        return None
    rows = scanner.execute(
        f"select instance, count(*) as n from {FACT} group by instance "
        f"order by n desc, instance nulls last limit {MOST_INSTANCES}"
    ).fetchall()
    return Instances(aware(first), aware(last) + HOUR, rows)
