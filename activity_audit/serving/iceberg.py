"""The published tables in Iceberg's format, for engines that do not read DuckLake: metadata beside the same files.

Only what Iceberg's metadata could not say of a table's files is written again: rows that a delete file or the catalog
takes away or adds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import duckdb
import fsspec
from filelock import FileLock, Timeout

from activity_audit.base.sql_text import literal
from activity_audit.serving import rows
from activity_audit.serving.published import How, Published, ServingError
from activity_audit.serving.state import of_warehouse
from activity_audit.serving.target import Target
from activity_audit.settings.core import Settings
from activity_audit.settings.private_files import for_people
from activity_audit.warehouse import extensions, lake, lake_catalog
from activity_audit.warehouse.contract import PublishedModel
from activity_audit.warehouse.object_storage import open_storage
from activity_audit.warehouse.run_lock import OnStage
from activity_audit.warehouse.tables import full_name, quoted
from activity_audit.warehouse.transactions import cause

if TYPE_CHECKING:
    from activity_audit.serving.iceberg_folder import IcebergFolder

# Properties of each table, by which the next publication knows what it is of.
_SNAPSHOT, _RUN, _CONTENT = "activity-audit.snapshot-id", "activity-audit.run-id", "activity-audit.content"


def bring_up_to_date(
    settings: Settings, manifest: dict[str, Any], target: Target, how: How, progress: OnStage
) -> Published:
    """Bring the metadata in a folder to the newest snapshot; each table has all its rows.

    Raises:
        ServingError: if the extra `iceberg` is not installed, or the folder cannot be written.
        WarehouseError: if the warehouse cannot be read.
    """
    folder = target.iceberg or ""
    if how.days is not None:
        raise ServingError(f"{target} has all events; leave out --days")
    _require_own_place(settings, folder)
    try:
        from activity_audit.serving.iceberg_folder import IcebergFolder
    except ModuleNotFoundError:
        raise ServingError(
            f"{target} needs the package pyiceberg; `pip install 'activity-audit[iceberg]'` installs it"
        ) from None
    progress("copying")
    lock = FileLock(settings.work_dir / "iceberg.lock", timeout=settings.lock_timeout.total_seconds())
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    try:
        with lock, lake.reader(settings, pinned=True) as connection, for_people():
            if "://" in folder:
                extensions.load(connection, ("httpfs",))
                open_storage(connection, folder)
            done = Published(str(target), of_warehouse(connection, None))
            for model in rows.served_models(connection, manifest):
                if model.is_table:
                    own = IcebergFolder(f"{folder}/{model.schema}/{model.name}")
                    _table(connection, model, own, done, whole=how.whole)
            return done
    except Timeout:
        raise ServingError(f"another process has been writing {target} for {settings.lock_timeout}") from None
    except (duckdb.Error, OSError) as error:
        said = cause(error) if isinstance(error, duckdb.Error) else error
        raise ServingError(f"{target} could not be brought up to date: {said}") from None


def _require_own_place(settings: Settings, folder: str) -> None:
    """The folders of a table have the same names there as in the warehouse's own."""
    own = settings.data_root.rstrip("/")
    if f"{folder}/".startswith(f"{own}/") or f"{own}/".startswith(f"{folder}/"):
        raise ServingError(f"iceberg:{folder} must be a folder apart from {own}, where the warehouse has its files")


def _table(
    connection: duckdb.DuckDBPyConnection,
    model: PublishedModel,
    folder: IcebergFolder,
    done: Published,
    *,
    whole: bool,
) -> None:
    """Bring one table's folder to the rows that it has in the attached snapshot."""
    from activity_audit.serving.iceberg_folder import StrangeFileError, iceberg_schema

    listed = connection.execute(
        "select data_file, delete_file from ducklake_list_files(?, ?, schema => ?) order by all",
        [lake.ALIAS, model.name, model.schema],
    ).fetchall()
    held = lake_catalog.sources(connection, model.schema, model.name)
    columns = lake_catalog.columns(connection, model.schema, model.name)
    content = hashlib.sha256(repr((columns, listed, held)).encode()).hexdigest()
    if folder.properties_of_table.get(_CONTENT) == content and not whole:
        return
    properties = {
        _SNAPSHOT: str(done.state.snapshot_id), _RUN: done.state.run_id or "", _CONTENT: content,
    }  # fmt: skip
    count = connection.execute(f"select count(*) from {full_name(model)}").fetchall()[0][0]
    schema = iceberg_schema(columns)
    try:
        if whole or held or any(delete_file for _, delete_file in listed):
            raise StrangeFileError
        folder.set_files(schema, [data_file for data_file, _ in listed], properties, count)
    except StrangeFileError:
        folder.set_files(schema, [_written(connection, model, folder.location, columns)], properties, count)
    folder.remove_unneeded()
    done.added[f"{model.schema}.{model.name}"] = count


def _written(
    connection: duckdb.DuckDBPyConnection,
    model: PublishedModel,
    location: str,
    columns: Collection[tuple[int, str, str, int | None]],
) -> str:
    """A new file with all rows of a table, whose columns have the numbers that they have in the lake's files."""
    path = f"{location}/data/serving-{uuid4()}.parquet"
    filesystem, inside = fsspec.core.url_to_fs(path)
    filesystem.makedirs(inside.rpartition("/")[0], exist_ok=True)
    numbers = ", ".join(
        f"{quoted(name)}: {_number(number, columns)}" for number, name, _, parent in columns if parent is None
    )
    names = ", ".join(quoted(name) for _, name, _, parent in columns if parent is None)
    connection.execute(
        f"copy (select {names} from {full_name(model)}) to {literal(path)} "
        f"(format parquet, compression zstd, field_ids {{{numbers}}})"
    )
    return path


def _number(number: int, columns: Collection[tuple[int, str, str, int | None]]) -> str:
    element = [of_element for of_element, _, _, parent in columns if parent == number]
    return f"{{__duckdb_field_id: {number}, element: {element[0]}}}" if element else str(number)
