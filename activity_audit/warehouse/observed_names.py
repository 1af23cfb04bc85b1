"""`quality.observed_name`: how many events use each spelling of a name; `dim_entity_activity` shows the most used.

A run adds what its own events have. What is here counts all of it from `agg_activity_hourly`, which is in step with the
fact: for a warehouse that an earlier release published, for one whose counts are not as many as its events, and when
retention deletes.
"""

from __future__ import annotations

from functools import cache

import duckdb

from activity_audit.base.vocabulary import FACT
from activity_audit.dbt_runner import macros
from activity_audit.warehouse.transactions import snapshot_now, transaction

FIELDS = ("application", "entity", "activity")
TABLE = "audit.quality.observed_name"
_AGGREGATE = "audit.main.agg_activity_hourly"
_REST = "work.main.rest_observed_name"


@cache
def labels(spellings: str) -> str:
    """The query of the label of each name, by `field` and `name_key`, from the dbt macro of that name, its only home.

    `spellings` names rows of field, spelling, event_count and is_documented.
    """
    return macros.expression("text.sql", "labels", spellings)


@cache
def name_key(spelling: str) -> str:
    """The SQL expression of the key by which a name is matched, from its dbt macro."""
    return macros.expression("text.sql", "normalised_name", spelling)


def documented(catalogue: str = "audit.main") -> str:
    """The query of the documented spellings, as rows for `labels`."""
    return " union all by name ".join(
        [
            *(
                f"select '{field}' as field, {field} as spelling, 0 as event_count, true as is_documented "
                f"from {catalogue}.dim_entity_activity where is_documented"
                for field in FIELDS
            ),
            "select 'application' as field, application as spelling, 0 as event_count, true as is_documented "
            f"from {catalogue}.dim_application where slug is not null",
        ]
    )


def rows_of(counts: str) -> str:
    """The query of the rows that the table has for these counts by application, entity and activity."""
    return f"""
        select field, spelling, cast(sum(event_count) as bigint) as event_count
        from (unpivot (
            select {", ".join(FIELDS)}, sum(event_count) as event_count from {counts} group by all
        ) on {", ".join(FIELDS)} into name field value spelling)
        group by all
    """


def complete(connection: duckdb.DuckDBPyConnection) -> None:
    """Count all spellings anew if they are not of as many events as there are, and show the labels, in one transaction.

    The catalog knows how many events there are, and the spellings are few, so this costs nothing where there is nothing
    to do. The connection has `audit` attached, and the caller holds the run lock.
    """
    since = snapshot_now(connection)
    ((events, counted),) = connection.execute(
        f"select (select count(*) from {FACT}), (select coalesce(sum(event_count), 0) from {TABLE})"
    ).fetchall()
    if len(FIELDS) * events == counted:
        return
    with transaction(connection, "spellings of the published names", {}, since=since):
        connection.execute(f"delete from {TABLE}")
        connection.execute(f"insert into {TABLE} by name {rows_of(_AGGREGATE)} order by field, spelling")
        shown = ", ".join(f"{field} = labelled.{field}" for field in FIELDS)
        connection.execute(
            f"update audit.main.dim_entity_activity as dim set {shown} from ({relabelled(TABLE)}) as labelled "
            "where dim.entity_activity_key = labelled.entity_activity_key"
        )


def differing(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str, int, int]]:
    """Field, spelling, and the number of events by the aggregate and by the table, where these are not the same.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    return connection.execute(f"""
        select field, spelling, coalesce(found.event_count, 0) as events, coalesce(known.event_count, 0) as counted
        from ({rows_of(_AGGREGATE)}) as found full join {TABLE} as known using (field, spelling)
        where events <> counted order by all
    """).fetchall()


def stage_rest(connection: duckdb.DuckDBPyConnection) -> None:
    """Count the spellings without what is about to be deleted; the aggregate's rows that stay are staged already."""
    counts = f"""(
        from {_AGGREGATE} where event_hour_utc not in (select event_hour_utc from work.main.touched_agg_activity_hourly)
        union all by name from work.main.rest_agg_activity_hourly
    )"""
    connection.execute(f"create or replace table {_REST} as {rows_of(counts)}")


def replace(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring in what `stage_rest` counted, in the transaction that deletes."""
    connection.execute(f"delete from {TABLE}")
    connection.execute(f"insert into {TABLE} by name from {_REST} order by field, spelling")


def relabelled(counted: str = _REST) -> str:
    """The query of the observed rows of `dim_entity_activity` that show another label than these counts give.

    The counts are those of `stage_rest`, or another table of field, spelling and event_count.
    """
    spellings = f"(select *, false as is_documented from {counted} union all by name {documented()})"
    joins = " ".join(
        f"left join label as of_{name} on of_{name}.field = '{name}' and of_{name}.name_key = {name_key(f'dim.{name}')}"
        for name in FIELDS
    )
    names = ", ".join(f"coalesce(of_{name}.label, dim.{name}) as {name}" for name in FIELDS)
    differing = " or ".join(f"of_{name}.label <> dim.{name}" for name in FIELDS)
    return f"""
        with label as ({labels(spellings)})
        select dim.entity_activity_key, {names}
        from audit.main.dim_entity_activity as dim {joins}
        where not dim.is_documented and ({differing})
    """
