"""Data files of a public table that workers write, and that the publisher gives to the lake.

They are written as the lake writes its own: by the same writer with the same options, a file for each partition, with
the numbers of the table's columns, under names of ours in the table's folder. Until they are given to it, the lake
does not know them; those of a run that did not publish are leftovers like those of any other killed run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import duckdb
from pydantic import BaseModel

from activity_audit.base.sql_text import file_literal, literal
from activity_audit.base.storage_paths import local_path
from activity_audit.warehouse.contract import PublishedModel
from activity_audit.warehouse.lake_catalog import column_numbers, table_folder
from activity_audit.warehouse.lake_location import WarehouseError
from activity_audit.warehouse.tables import COPY_OPTIONS, quoted


class WorkersFileError(WarehouseError):
    """What workers wrote is not what is to be published; nothing is published then."""


class Layout(BaseModel):
    """Where the lake has a table's files, below its data folder, and the numbers of its columns."""

    folder: str
    columns: dict[str, int]


class FactFile(BaseModel):
    """A data file by its full path, with what it must have."""

    path: str
    rows: int
    bytes: int


def layout(connection: duckdb.DuckDBPyConnection, model: PublishedModel) -> Layout:
    """How the lake that is attached as `audit` has the table of a model."""
    return Layout(
        folder=table_folder(connection, model.schema, model.name),
        columns=column_numbers(connection, model.schema, model.name),
    )


def write(
    connection: duckdb.DuckDBPyConnection, model: PublishedModel, place: Layout, data_path: str
) -> list[FactFile]:
    """Write the staged rows of a model into data files; nothing where there are none.

    Nobody reads them before they are registered.
    """
    # DuckLake takes the values of the partition from the names of the folders, which are those of its functions.
    keys = {expression.partition("(")[0]: expression for expression in model.partition_by}
    columns = ", ".join(
        f"{quoted(column.name)}::{column.data_type} as {quoted(column.name)}" for column in model.columns
    )
    parts = ", ".join(f"{expression} as {name}" for name, expression in keys.items())
    numbers = ", ".join(f"{quoted(column.name)}: {place.columns[column.name]}" for column in model.columns)
    target = data_path + place.folder.rstrip("/")
    if (folder := local_path(target)) is not None:
        folder.mkdir(parents=True, exist_ok=True)
    # The order in a file is what makes a look-up of a time quick.
    connection.execute("set preserve_insertion_order = true")
    try:
        rows = connection.execute(
            f"copy (select {columns}, {parts} from work.{model.schema}.{model.name} "
            f"order by {', '.join(model.sorted_by)}) to {literal(target)} "
            f"({COPY_OPTIONS}, partition_by ({', '.join(keys)}), filename_pattern 'ducklake-{{uuid}}', "
            f"overwrite_or_ignore true, field_ids {{{numbers}}}, return_stats true)"
        ).fetchall()
    finally:
        connection.execute("set preserve_insertion_order = false")
    return [FactFile(path=path, rows=count, bytes=size) for path, count, size, *_ in rows]


def require_whole(connection: duckdb.DuckDBPyConnection, files: Sequence[FactFile], staged: int) -> None:
    """Refuse files that are not as they were written, or do not have as many rows as are staged.

    Raises:
        WorkersFileError: naming the first one.
    """
    paths = ", ".join(file_literal(file.path) for file in files)
    query = f"select file_name, num_rows from parquet_file_metadata([{paths}])"
    try:
        found = dict(connection.execute(query).fetchall()) if files else {}
    except duckdb.Error as error:
        raise WorkersFileError(
            f"a file that a worker of this run wrote cannot be read: {error}. Nothing was published; the next run does "
            "it again"
        ) from None
    for file in files:
        if found.get(file.path) != file.rows:
            raise WorkersFileError(
                f"{file.path} has {found.get(file.path)} rows, and a worker of this run wrote {file.rows}; nothing was "
                "published, the next run does it again"
            )
    if (rows := sum(file.rows for file in files)) != staged:
        raise WorkersFileError(f"the workers of this run wrote {rows} events, and {staged} are to be published")


def registration(model: PublishedModel, files: Sequence[FactFile]) -> list[str]:
    """The statements that make files a part of a table, for the transaction that publishes them."""
    if not files:
        return []
    paths = ", ".join(file_literal(file.path) for file in files)
    return [f"call ducklake_add_data_files('audit', '{model.name}', [{paths}], schema => '{model.schema}')"]


def remove(files: Iterable[FactFile]) -> None:
    """Remove files of this machine that were not published; in a bucket they are left to `audit maintain`."""
    for file in files:
        if (path := local_path(file.path)) is not None:
            path.unlink(missing_ok=True)
