"""Counts of one snapshot by who triggered events, day by day, in the memory of its DuckDB.

The published tables have none, and to count the people of a long period means to read all of it. So the newest
snapshot's DuckDB counts them once, behind the readers' backs, and its successor only the days that have changed.
`people.main.person` has a number for every combination of the fields; `people` counts events by it and day, and
`people_monthly` by it and month. Both have the application too, and lie by month and application, so that of a month
of one application little else is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from activity_audit.report.queries.files import FACT
from activity_audit.report.queries.rollups import DAILY, KIND

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb
    import pyarrow as pa

FIELDS = ("application", "outcome", "triggered_by")
_COUNTS = "people"
PERSON = f"{_COUNTS}.main.person"
PEOPLE = f"{_COUNTS}.main.people"
MONTHLY = f"{_COUNTS}.main.people_monthly"
_NAMES = ", ".join(FIELDS)


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make room for the tables, before the connection is locked."""
    connection.execute(f"attach ':memory:' as {_COUNTS} (compress)")


def build(
    connection: duckdb.DuckDBPyConnection,
    scanner: duckdb.DuckDBPyConnection,
    before: duckdb.DuckDBPyConnection | None,
) -> None:
    """Make the tables, out of those of the snapshot `before` where it has them; `scanner` reads the events.

    Events are only ever added, so a day whose number of events is the same has the same events. That does not hold
    where a file of the fact is gone or has rows taken out; then all is counted again.
    """
    columns = ", ".join(f"{name} varchar" for name in FIELDS)
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
    same = " and ".join(f"counted.{name} is not distinct from person.{name}" for name in FIELDS)
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
        "select data_file, delete_file from ducklake_list_files('audit', 'fact_activity_event', schema => 'main')"
    ).fetchall()
    return {(data, gone) for data, gone in rows}
