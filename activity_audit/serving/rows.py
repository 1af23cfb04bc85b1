"""Which tables a serving copy has, and which rows of the warehouse are new or gone since the copy's snapshot."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb

from activity_audit.base.sql_text import literal
from activity_audit.base.vocabulary import FACT_NAME
from activity_audit.serving.state import State
from activity_audit.warehouse import lake
from activity_audit.warehouse.contract import PublishedModel, published_models
from activity_audit.warehouse.tables import full_name, quoted

# The rows of a table that changed between two snapshots: +1 in `sign` those to add, -1 those to remove.
CHANGED = "temp.main.serving_changed"
_TIME = "event_time_utc"


def served_models(connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any]) -> list[PublishedModel]:
    """The public tables and views of the attached warehouse, but for the product's own bookkeeping; tables first."""
    query = "select schema_name, table_name from duckdb_columns() where database_name = 'audit'"
    there = set(connection.execute(query).fetchall())
    models = [model for model in published_models(manifest) if not model.is_bookkeeping]
    return [model for model in models if (model.schema, model.name) in there]


def is_copied_by_rows(model: PublishedModel) -> bool:
    """Whether PostgreSQL gets it as a table: a view of `quality` too, whose SQL is DuckDB's."""
    return model.is_table or model.schema == "quality"


def names(model: PublishedModel) -> str:
    """The columns of a table, in SQL."""
    return ", ".join(quoted(column.name) for column in model.columns)


def in_window(model: PublishedModel, state: State) -> str:
    """The condition that the copied rows of a table meet: of the fact only the newest days are copied."""
    if model.name != FACT_NAME or state.events_from_utc is None:
        return "true"
    return f"{_TIME} >= timestamp '{state.events_from_utc}'"


def all_rows(model: PublishedModel, state: State) -> str:
    """The query of all rows of a table that a copy of this state has."""
    return f"select {names(model)} from {full_name(model)} where {in_window(model, state)}"


def stage_changes(connection: duckdb.DuckDBPyConnection, model: PublishedModel, before: State, after: State) -> bool:
    """Put into CHANGED what a copy at `before` lacks of a table, and what it has too much; whether there is any.

    What was written again with the same content, as an upkeep does, cancels out.
    """
    columns = names(model)
    sign = "case when change_type in ('insert', 'update_postimage') then 1 else -1 end as sign"
    connection.execute(
        f"create or replace temp table serving_changed as select {columns}, {sign} "
        f"from {_changes(model, before, after)} where {in_window(model, before)} and {in_window(model, after)}"
    )
    if _any(connection, "sign < 0"):
        connection.execute(
            f"create or replace temp table serving_changed as select {columns}, sign(sum(sign))::tinyint as sign "
            f"from {CHANGED} group by all having sum(sign) <> 0"
        )
    if model.name == FACT_NAME:
        _stage_older(connection, model, before, after)
    return _any(connection, "true")


def _changes(model: PublishedModel, before: State, after: State) -> str:
    """What DuckLake knows of the changes of a table between two snapshots, in a FROM."""
    table = f"{literal(lake.ALIAS)}, {literal(model.schema)}, {literal(model.name)}"
    if before.snapshot_id == after.snapshot_id:
        # There is no snapshot to begin with.
        return f"(select *, '' as change_type from {full_name(model)} limit 0)"
    return f"ducklake_table_changes({table}, {before.snapshot_id + 1:d}, {after.snapshot_id:d})"


def _stage_older(connection: duckdb.DuckDBPyConnection, model: PublishedModel, before: State, after: State) -> None:
    """Where the copy's days begin earlier than they did, the events between are new to it."""
    old, new = before.events_from_utc, after.events_from_utc
    if old is not None and new is not None and new < old:
        connection.execute(
            f"insert into {CHANGED} select {names(model)}, 1 from {full_name(model)} "
            f"where {_TIME} >= ? and {_TIME} < ?",
            [new, old],
        )


def _any(connection: duckdb.DuckDBPyConnection, condition: str) -> bool:
    return bool(connection.execute(f"select 1 from {CHANGED} where {condition} limit 1").fetchall())


def count(connection: duckdb.DuckDBPyConnection, sign: int) -> int:
    """How many rows of CHANGED are to be added (1) or removed (-1)."""
    return connection.execute(f"select count(*) from {CHANGED} where sign = ?", [sign]).fetchall()[0][0]


def drop(connection: duckdb.DuckDBPyConnection) -> None:
    """Let go of CHANGED."""
    connection.execute("drop table if exists temp.main.serving_changed")


def matches(columns: Iterable[str], left: str, right: str) -> str:
    """The condition that two rows have the same values in these columns, none of which is ever null."""
    return " and ".join(f"{left}.{quoted(name)} = {right}.{quoted(name)}" for name in columns)
