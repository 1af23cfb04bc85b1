"""The public tables in the warehouse: made as the dbt project declares them, and brought up to this release."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import duckdb

from activity_audit.base.sql_text import literal
from activity_audit.warehouse import known_ids, lake, observed_names
from activity_audit.warehouse.contract import PublishedModel, published_models
from activity_audit.warehouse.transactions import PublishedMeanwhileError, snapshot_now, transaction

if TYPE_CHECKING:
    from activity_audit.warehouse.key_index import KeyIndex

# zstd takes half of what Snappy does, DuckLake's own choice, and is no slower to write. Rows and deletions that the
# catalog keeps are not seen by a program that reads the files without DuckDB, and a file whose last rows are deleted
# there never ends.
_OPTIONS = {
    "parquet_compression": "zstd",
    "parquet_compression_level": "1",
    "parquet_version": "2",
    "data_inlining_row_limit": "0",
}
# The same as options of COPY, for files that are written first and then given to the lake.
COPY_OPTIONS = "format parquet, compression zstd, compression_level 1, parquet_version v2"
# How often set-up looks at what is there before it gives up.
_LOOKS = 5


def bring_up_to_date(
    connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any], index: KeyIndex | None = None
) -> list[str]:
    """Make the public tables what this release builds on, with the known ids and names; what was found amiss.

    The connection has `audit` attached, and the caller holds the run lock. The index of the home that is to look up the
    known ids is brought to them. For errors see `create_tables`.
    """
    create_tables(connection, manifest)
    warnings = known_ids.complete(connection, index)
    observed_names.complete(connection)
    return warnings


def create_tables(connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any]) -> None:
    """Create the public tables that are not there yet, and add columns that a newer release brought.

    Where another process does so at the same time, what it has done is not done again.

    Raises:
        RuntimeError: if a public column has another type than the contract says; the message says which.
        PublishedMeanwhileError: if others went on to change the warehouse, however often this looked again.
    """
    for _ in range(_LOOKS - 1):
        with suppress(PublishedMeanwhileError):
            return _create_tables(connection, manifest)
    return _create_tables(connection, manifest)


def _create_tables(connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any]) -> None:
    since = snapshot_now(connection)
    models = [model for model in published_models(manifest) if model.is_table]
    existing = _columns(connection)
    statements = [f"create schema if not exists audit.{schema}" for schema in sorted({m.schema for m in models})]
    for model in models:
        known = existing.get((model.schema, model.name))
        statements += _creation(model, lake.is_lake(connection)) if known is None else _additions(model, known)
    options = _missing_options(connection)
    if len(statements) == len({m.schema for m in models}) and existing and not options:
        return
    statements += options
    with transaction(connection, "set up", {}, since=since):
        for statement in statements:
            connection.execute(statement)


def set_options(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a lake that an earlier release made write its data files as this release does."""
    since = snapshot_now(connection)
    if statements := _missing_options(connection):
        with transaction(connection, "set up", {}, since=since):
            for statement in statements:
                connection.execute(statement)


def _missing_options(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """What has to be said to a lake, so that its data files are written as we want them; nothing if it is known."""
    if not lake.is_lake(connection):
        return []
    options = connection.execute("select option_name, lower(value) from audit.options() where scope = 'GLOBAL'")
    known = dict(options.fetchall())
    return [
        f"call audit.set_option('{name}', '{value}')"
        for name, value in _OPTIONS.items()
        if known.get(name, "").removeprefix("v") != value
    ]


def _creation(model: PublishedModel, is_lake: bool) -> list[str]:
    public = full_name(model)
    columns = ", ".join(
        f"{quoted(column.name)} {column.data_type}{' not null' if column.not_null else ''}" for column in model.columns
    )
    statements = [
        f"create table {public} ({columns})",
        f"comment on table {public} is {literal(model.description)}",
    ]
    statements += [
        f"comment on column {public}.{quoted(column.name)} is {literal(column.description)}" for column in model.columns
    ]
    if is_lake and model.partition_by:
        statements.append(f"alter table {public} set partitioned by ({', '.join(model.partition_by)})")
    if is_lake and model.sorted_by:
        statements.append(f"alter table {public} set sorted by ({', '.join(model.sorted_by)})")
    return statements


def _additions(model: PublishedModel, known: dict[str, str]) -> list[str]:
    statements = []
    for column in model.columns:
        if column.name not in known:
            statements.append(f"alter table {full_name(model)} add column {quoted(column.name)} {column.data_type}")
        elif known[column.name].lower() != column.data_type.lower():
            raise RuntimeError(
                f"{full_name(model)}.{column.name} is {known[column.name]} in the warehouse and {column.data_type} in "
                "this release; see docs/operations.md on upgrades"
            )
    return statements


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], dict[str, str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    query = "select schema_name, table_name, column_name, data_type from duckdb_columns() where database_name = 'audit'"
    for schema, table, column, data_type in connection.execute(query).fetchall():
        found.setdefault((schema, table), {})[column] = data_type
    return found


def full_name(model: PublishedModel) -> str:
    """The name of a public table or view in SQL."""
    return f"audit.{model.schema}.{model.name}"


def quoted(name: str) -> str:
    """A column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'
