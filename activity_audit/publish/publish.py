"""Publishing: the staged rows of every public model become one snapshot of the warehouse, named by the run.

Everything happens in one transaction of the DuckLake catalog, so a reader sees all of a run or nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb

from activity_audit.base.sql_text import literal
from activity_audit.ledger.slices import condition, slices
from activity_audit.warehouse import fact_files, lake
from activity_audit.warehouse.contract import PublishedModel, published_models
from activity_audit.warehouse.fact_files import FactFile
from activity_audit.warehouse.lake_catalog import mend_partition_values
from activity_audit.warehouse.tables import full_name, quoted
from activity_audit.warehouse.transactions import transaction

# A sort of so many rows stays in memory; of a bulk load's, all at once, it would fill the memory limit and spill. Each
# part reads the times of all, so they are few.
_MOST_SORTED = 1_500_000
_MOST_PARTS = 12
_FAILED_RUN_TABLES = ("validation_result",)
# What every run adds a row to, whatever else it does.
_OWN_ACCOUNT = ("integrity_ledger", "pipeline_run", "validation_result")


def pending(connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any]) -> list[str]:
    """The public tables and views that publishing what is staged would change, but for the run's account of itself."""
    models = [model for model in published_models(manifest) if model.name not in _OWN_ACCOUNT]
    return [f"{model.schema}.{model.name}" for model in models if _is_pending(connection, model)]


def _is_pending(connection: duckdb.DuckDBPyConnection, model: PublishedModel) -> bool:
    if model.strategy in ("replace", "view", "elsewhere"):
        return bool(_statements(connection, model))
    return connection.execute(f"select 1 from work.{model.schema}.{model.name} limit 1").fetchone() is not None


def publish(
    connection: duckdb.DuckDBPyConnection,
    manifest: dict[str, Any],
    run_id: str,
    extra: dict[str, Any],
    since: int | None,
    also: Iterable[str] = (),
    written: Mapping[str, Sequence[FactFile]] | None = None,
) -> None:
    """Bring all that is staged in `work` into `audit`, as one snapshot with the run id as its message.

    It was staged from the snapshot `since`. The statements of `also` are part of it. `written` has the data files of
    those tables whose staged rows are in data files already. For errors see `transaction`, and `require_whole` of them.
    """
    models = published_models(manifest)
    written = written or {}
    for model in models:
        if model.name in written:
            staged = f"select count(*) from work.{model.schema}.{model.name}"
            fact_files.require_whole(connection, written[model.name], connection.execute(staged).fetchall()[0][0])
    with transaction(connection, run_id, extra, since=since):
        for model in models:
            if model.name in written:
                statements = fact_files.registration(model, written[model.name])
            else:
                statements = _statements(connection, model)
            for statement in statements:
                connection.execute(statement)
        for statement in also:
            connection.execute(statement)
    if written:
        mend_partition_values(connection)


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
                for statement in _statements(connection, model):
                    connection.execute(statement)


def _statements(connection: duckdb.DuckDBPyConnection, model: PublishedModel) -> list[str]:
    public, staged = full_name(model), f"work.{model.schema}.{model.name}"
    names = ", ".join(quoted(column.name) for column in model.columns)
    # A lake sorts each file by what the table is sorted by; to sort all of it before that takes as long again.
    is_sorted = model.sorted_by and lake.is_lake(connection)
    order = f" order by {', '.join(model.order_by)}" if model.order_by and not is_sorted else ""
    insert = f"insert into {public} ({names}) select {names} from {staged}{order}"
    match model.strategy:
        case "append" if is_sorted and _is_time(model, model.sorted_by[0]):
            return [f"{insert}{where}" for where in _parts(connection, staged, model.sorted_by[0])]
        case "append":
            return [insert]
        case "upsert":
            key = ", ".join(model.key)
            return [f"delete from {public} where ({key}) in (select ({key}) from {staged})", insert]
        case "replace":
            return [f"delete from {public}", insert] if _differs(connection, public, staged, names) else []
        case "view":
            return _view(connection, model)
        case "elsewhere":
            return []
    raise ValueError(
        f"{model.name}: meta.publish must be append, upsert, replace, view or elsewhere, not {model.strategy!r}"
    )


def _is_time(model: PublishedModel, name: str) -> bool:
    return any(column.name == name and column.data_type == "timestamp" for column in model.columns)


def _parts(connection: duckdb.DuckDBPyConnection, staged: str, column: str) -> list[str]:
    """The WHERE clauses of the parts in which staged rows are sorted and written: whole days, which are files."""
    days = connection.execute(
        f"select date_trunc('day', {column}), count(*) from {staged} group by all order by all"
    ).fetchall()
    most = max(_MOST_SORTED, sum(count for _, count in days) // _MOST_PARTS)
    return [f" where {condition(part, column)}" for part in slices(days, most=most)]


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
    """The view's definition, unless it is published already: that of the staged view, over what is published."""
    definitions = dict(
        connection.execute(
            "select database_name, sql from duckdb_views() where schema_name = ? and view_name = ?",
            [model.schema, model.name],
        ).fetchall()
    )
    # As DuckDB writes the names of what the view reads.
    staged = _select_of(definitions["work"]).replace('"work".', "audit.")
    if "audit" in definitions and _select_of(definitions["audit"]) == staged:
        return []
    return [
        f"create or replace view {full_name(model)} as {staged}",
        f"comment on view {full_name(model)} is {literal(model.description)}",
    ]


def _select_of(definition: str) -> str:
    return definition.split(" AS ", 1)[1].strip().rstrip(";")
