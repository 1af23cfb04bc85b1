"""Finds what the warehouse lacks because an older release published it last, and says how to upgrade it."""

from __future__ import annotations

import duckdb

from activity_audit.dbt_runner import project
from activity_audit.settings.core import Settings
from activity_audit.warehouse import home_record, home_version, lake
from activity_audit.warehouse.contract import published_models


def lacking(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """What this release publishes and the attached warehouse does not have: each name, and what it is, in words."""
    query = "select schema_name, table_name, column_name from duckdb_columns() where database_name = ?"
    found = set(connection.execute(query, [lake.ALIAS]).fetchall())
    tables = {(schema, table) for schema, table, _ in found}
    missing: dict[str, str] = {}
    for model in published_models(project.manifest()):
        if (model.schema, model.name) not in tables:
            missing[model.name] = f"{model.schema}.{model.name}"
            continue
        for column in model.columns:
            if (model.schema, model.name, column.name) not in found:
                missing[column.name] = f"the column {column.name} of {model.schema}.{model.name}"
    return missing


def is_older(settings: Settings) -> bool:
    """Whether something is published, and lacks what this release has, or is of an earlier version.

    Raises:
        WarehouseError: if the warehouse cannot be reached.
    """
    try:
        with lake.reader(settings) as connection:
            versions = home_version.of_warehouse(connection), home_record.version(settings)
            return min(versions) < home_version.VERSION or bool(lacking(connection))
    except lake.NothingPublishedError:
        return False


def explained(
    connection: duckdb.DuckDBPyConnection, error: duckdb.Error, *, is_newest: bool = True
) -> lake.OlderReleaseError | None:
    """The error of a query as what is behind it, if that is what the warehouse lacks; None where it is not."""
    said = str(error)
    what = next((words for name, words in lacking(connection).items() if name in said), None)
    if what is None:
        return None
    cure = "`audit run` upgrades it" if is_newest else "leave out `--at`, or choose a later run"
    return lake.OlderReleaseError(f"the warehouse as an older release published it lacks {what}; {cure}")
