"""A serving copy in a single DuckDB file: written beside the old one, which it then replaces.

Who has the old one open goes on to read it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock, Timeout

from activity_audit.base.files import sync
from activity_audit.base.sql_text import literal
from activity_audit.serving import rows
from activity_audit.serving.published import How, Published, ServingError
from activity_audit.serving.state import COLUMNS, COPY, DEFAULT_DAYS, DESCRIPTION, TABLE, State, of_copy, of_warehouse
from activity_audit.serving.target import Target
from activity_audit.settings.core import Settings
from activity_audit.settings.private_files import for_people
from activity_audit.warehouse import extensions, lake
from activity_audit.warehouse.contract import Column, PublishedModel
from activity_audit.warehouse.run_lock import OnStage
from activity_audit.warehouse.tables import quoted
from activity_audit.warehouse.transactions import cause


def bring_up_to_date(
    settings: Settings, manifest: dict[str, Any], target: Target, how: How, progress: OnStage
) -> Published:
    """Replace the file by a copy of the newest snapshot, as `how` says.

    Raises:
        ServingError: if the file is not a copy, cannot be written, or others hold it.
        WarehouseError: if the warehouse cannot be read.
    """
    path = target.file
    assert path is not None
    if not path.parent.is_dir():
        raise ServingError(f"{path} cannot be written: the folder {path.parent} does not exist")
    progress("copying")
    new = path.with_name(f".{path.name}.new")
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=settings.lock_timeout.total_seconds()):
            before = _state_in(path) if path.exists() else None
            with lake.reader(settings, pinned=True) as connection:
                after = of_warehouse(connection, how.days or (before.days if before else DEFAULT_DAYS))
                if before and before.is_as_new_as(after) and not how.whole:
                    return Published(str(target), before)
                done = Published(str(target), after, is_whole=True)
                # What a process that was killed has left.
                new.unlink(missing_ok=True)
                try:
                    with for_people():
                        _write(connection, manifest, new, done)
                    sync(new)
                    new.replace(path)
                    sync(path.parent)
                finally:
                    new.unlink(missing_ok=True)
                return done
    except Timeout:
        raise ServingError(f"another process has been writing {path} for {settings.lock_timeout}") from None
    except duckdb.Error as error:
        raise ServingError(f"{path} could not be written, and is as it was: {cause(error)}") from None


def _state_in(path: Path) -> State:
    connection = extensions.connect()
    try:
        connection.execute(f"attach {literal(str(path))} as {COPY} (read_only)")
        state = of_copy(connection)
    except duckdb.Error as error:
        raise ServingError(f"{path} cannot be read, so it is left as it is: {cause(error)}") from None
    finally:
        connection.close()
    if state is None:
        raise ServingError(f"{path} is a database that `audit publish` did not make; name another file")
    return state


def _write(connection: duckdb.DuckDBPyConnection, manifest: dict[str, Any], path: Path, done: Published) -> None:
    models = rows.served_models(connection, manifest)
    connection.execute(f"attach {literal(str(path))} as {COPY}")
    try:
        connection.execute(f"create schema {COPY}.quality")
        _create(connection, "main", TABLE, DESCRIPTION, COLUMNS)
        values = vars(done.state)
        marks = ", ".join("?" for _ in values)
        connection.execute(f"insert into {COPY}.main.{TABLE} values ({marks})", [*values.values()])
        for model in models:
            if model.is_table:
                _create(connection, model.schema, model.name, model.description, model.columns)
                name = f"{model.schema}.{model.name}"
                order = f" order by {', '.join(model.order_by)}" if model.order_by else ""
                query = f"insert into {COPY}.{name} ({rows.names(model)}) {rows.all_rows(model, done.state)}{order}"
                if added := connection.execute(query).fetchall()[0][0]:
                    done.added[name] = added
        connection.execute(f"use {COPY}")
        for model in models:
            if not model.is_table:
                _create_view(connection, model)
    finally:
        connection.execute(f"use {lake.ALIAS}")
        connection.execute(f"detach {COPY}")


def _create(
    connection: duckdb.DuckDBPyConnection, schema: str, table: str, description: str, columns: tuple[Column, ...]
) -> None:
    name = f"{COPY}.{schema}.{table}"
    listed = ", ".join(
        f"{quoted(column.name)} {column.data_type}{' not null' if column.not_null else ''}" for column in columns
    )
    connection.execute(f"create table {name} ({listed})")
    connection.execute(f"comment on table {name} is {literal(description)}")
    for column in columns:
        connection.execute(f"comment on column {name}.{quoted(column.name)} is {literal(column.description)}")


def _create_view(connection: duckdb.DuckDBPyConnection, model: PublishedModel) -> None:
    """A view as the warehouse has it, over the tables of the file, under any name by which it is attached."""
    query = "select sql from duckdb_views() where database_name = ? and schema_name = ? and view_name = ?"
    (definition,) = connection.execute(query, [lake.ALIAS, model.schema, model.name]).fetchall()[0]
    body = definition.split(" AS ", 1)[1].replace("audit.main.", "main.").replace("audit.quality.", "quality.")
    connection.execute(f"create view {model.schema}.{model.name} as {body}")
    connection.execute(f"comment on view {model.schema}.{model.name} is {literal(model.description)}")
