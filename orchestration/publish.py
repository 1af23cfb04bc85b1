"""Publishing: the staged rows of every public model become one snapshot of the warehouse, named by the run.

Everything happens in one transaction of the DuckLake catalog, so a reader sees all of a run or nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orchestration import lake
from orchestration.contract import PublishedModel, published_models
from orchestration.sql_text import literal
from orchestration.transactions import PublishedMeanwhileError, snapshot_now, transaction

if TYPE_CHECKING:
    import duckdb

# zstd takes half of what Snappy does, DuckLake's own choice, and is no slower to write. Rows and deletions that the
# catalog keeps are not seen by a program that reads the files without DuckDB, and a file whose last rows are deleted
# there never ends.
_OPTIONS = {
    "parquet_compression": "zstd",
    "parquet_compression_level": "1",
    "parquet_version": "2",
    "data_inlining_row_limit": "0",
}
_FAILED_RUN_TABLES = ("validation_result",)
# How often set-up looks at what is there before it gives up.
_LOOKS = 5
# What every run adds a row to, whatever else it does.
_OWN_ACCOUNT = ("integrity_ledger", "pipeline_run", "validation_result")


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


def pending(connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any]) -> list[str]:
    """The public tables and views that publishing what is staged would change, but for the run's account of itself."""
    models = [model for model in published_models(manifest) if model.name not in _OWN_ACCOUNT]
    return [f"{model.schema}.{model.name}" for model in models if _is_pending(connection, model)]


def _is_pending(connection: duckdb.DuckDBPyConnection, model: PublishedModel) -> bool:
    if model.strategy in ("replace", "view"):
        return bool(_statements(connection, model))
    return connection.execute(f"select 1 from work.{model.schema}.{model.name} limit 1").fetchone() is not None


def publish(
    connection: duckdb.DuckDBPyConnection,
    manifest: dict[str, Any],
    run_id: str,
    extra: dict[str, Any],
    since: int | None,
    also: Iterable[str] = (),
) -> None:
    """Bring all that is staged in `work` into `audit`, as one snapshot with the run id as its message.

    It was staged from the snapshot `since`. The statements of `also` are part of it. For errors see `transaction`.
    """
    models = published_models(manifest)
    with transaction(connection, run_id, extra, since=since):
        for model in models:
            for statement in _statements(connection, model):
                connection.execute(statement)
        for statement in also:
            connection.execute(statement)


def publish_failure(
    connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any], run_id: str, since: int | None
) -> None:
    """Keep what the checks of a run found that must not be published; nothing else of it is kept.

    Raises:
        PublishedMeanwhileError: if it was staged from another snapshot than the newest, so that what was found may be
            that.
    """
    with transaction(connection, f"{run_id} (checks failed)", {"published": False}, since=since):
        for model in published_models(manifest):
            if model.name in _FAILED_RUN_TABLES:
                connection.execute(f"insert into {_public(model)} by name select * from work.raw.{model.name}")


def _statements(connection: duckdb.DuckDBPyConnection, model: PublishedModel) -> list[str]:
    public, staged = _public(model), f"work.{model.schema}.{model.name}"
    names = ", ".join(_quoted(column.name) for column in model.columns)
    # A lake sorts each file by what the table is sorted by; to sort all of it before that takes as long again.
    is_sorted = model.sorted_by and lake.is_lake(connection)
    order = f" order by {', '.join(model.order_by)}" if model.order_by and not is_sorted else ""
    insert = f"insert into {public} ({names}) select {names} from {staged}{order}"
    match model.strategy:
        case "append":
            return [insert]
        case "upsert":
            key = ", ".join(model.key)
            return [f"delete from {public} where ({key}) in (select ({key}) from {staged})", insert]
        case "replace":
            return [f"delete from {public}", insert] if _differs(connection, public, staged, names) else []
        case "view":
            return _view(connection, model)
    raise ValueError(f"{model.name}: meta.publish must be append, upsert, replace or view, not {model.strategy!r}")


def _differs(connection: duckdb.DuckDBPyConnection, public: str, staged: str, names: str) -> bool:
    query = f"""
        select exists (
            (select {names} from {public} except all select {names} from {staged})
            union all
            (select {names} from {staged} except all select {names} from {public})
        )
    """
    row = connection.execute(query).fetchone()
    return bool(row and row[0])


def _view(connection: duckdb.DuckDBPyConnection, model: PublishedModel) -> list[str]:
    """The view's definition, unless it is published already; the staged view has the same text."""
    definitions = dict(
        connection.execute(
            "select database_name, sql from duckdb_views() where schema_name = ? and view_name = ?",
            [model.schema, model.name],
        ).fetchall()
    )
    staged = _select_of(definitions["work"])
    if "audit" in definitions and _select_of(definitions["audit"]) == staged:
        return []
    return [
        f"create or replace view {_public(model)} as {staged}",
        f"comment on view {_public(model)} is {literal(model.description)}",
    ]


def _select_of(definition: str) -> str:
    return definition.split(" AS ", 1)[1].strip().rstrip(";")


def _creation(model: PublishedModel, is_lake: bool) -> list[str]:
    public = _public(model)
    columns = ", ".join(
        f"{_quoted(column.name)} {column.data_type}{' not null' if column.not_null else ''}" for column in model.columns
    )
    statements = [
        f"create table {public} ({columns})",
        f"comment on table {public} is {literal(model.description)}",
    ]
    statements += [
        f"comment on column {public}.{_quoted(column.name)} is {literal(column.description)}"
        for column in model.columns
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
            statements.append(f"alter table {_public(model)} add column {_quoted(column.name)} {column.data_type}")
        elif known[column.name].lower() != column.data_type.lower():
            raise RuntimeError(
                f"{_public(model)}.{column.name} is {known[column.name]} in the warehouse and {column.data_type} in "
                "this release; see docs/operations.md on upgrades"
            )
    return statements


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], dict[str, str]]:
    found: dict[tuple[str, str], dict[str, str]] = {}
    query = "select schema_name, table_name, column_name, data_type from duckdb_columns() where database_name = 'audit'"
    for schema, table, column, data_type in connection.execute(query).fetchall():
        found.setdefault((schema, table), {})[column] = data_type
    return found


def _public(model: PublishedModel) -> str:
    return f"audit.{model.schema}.{model.name}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
