"""The folder or bucket prefix of the warehouse's data files, with a mark that says which warehouse owns it.

Files are deleted there, so it must hold nothing else: not a stranger's data, and not another warehouse's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import duckdb

from activity_audit.base.files import rewrite
from activity_audit.base.sql_text import literal
from activity_audit.base.storage_paths import local_path
from activity_audit.warehouse.lake_catalog import CATALOG, table_folders

MARKER = ".activity-audit-data"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OWN_NAME = re.compile(r"ducklake-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-delete)?\.parquet")
# What a file system itself puts into the root of a disk.
_OF_THE_DISK = "lost+found"


class DataFolderError(RuntimeError):
    """The data folder is not this warehouse's, or not only; the message says what to do."""


def require_empty(connection: duckdb.DuckDBPyConnection, data_path: str, unless_of: str | None = None) -> None:
    """Refuse a folder for the data of a new warehouse that has anything in it, unless it is of that warehouse.

    Raises:
        DataFolderError: naming what is there.
    """
    owner = _owner(connection, data_path)
    if owner and owner == unless_of:
        return
    if owner:
        raise DataFolderError(
            f"the data in {data_path} belongs to the warehouse {owner}, whose catalog is missing: restore "
            "the catalog from a backup, or move the data away to start a new warehouse "
            "(docs/operations.md, Rebuild)"
        )
    if found := next(_files(connection, data_path), None):
        raise DataFolderError(
            f"{data_path} cannot become the data folder of a new warehouse, because it holds {found}: if "
            "that belongs to a warehouse, restore its catalog from a backup (docs/operations.md, "
            "Rebuild); otherwise name another folder in AUDIT_DATA_PATH"
        )


def mark(connection: duckdb.DuckDBPyConnection, data_path: str, warehouse: str) -> None:
    """Mark the folder as this warehouse's, and make it where it is not there.

    Raises:
        DataFolderError: if another process marked it meanwhile.
    """
    if (folder := local_path(data_path)) is not None:
        folder.mkdir(parents=True, exist_ok=True)
        rewrite(folder / MARKER, f"{warehouse}\n")
    else:
        target = literal(data_path + MARKER)
        connection.execute(f"copy (select {literal(warehouse)}) to {target} (format csv, header false)")
    _require_owner(_owner(connection, data_path), data_path, warehouse)


def require_own(connection: duckdb.DuckDBPyConnection, data_path: str, warehouse: str) -> None:
    """Refuse a folder that is not marked as this warehouse's. One that an earlier release made is marked now.

    The connection has `audit` attached.

    Raises:
        DataFolderError: saying what is in the way.
    """
    if owner := _owner(connection, data_path):
        _require_owner(owner, data_path, warehouse)
        return
    folders, has_own = table_folders(connection), False
    for name in _files(connection, data_path):
        if not is_own(name, folders):
            raise DataFolderError(
                f"{data_path} holds {name}, which is not a data file of this warehouse: move it away, or move the "
                "warehouse's folders into a folder of their own and name that in AUDIT_DATA_PATH"
            )
        has_own = True
    current = f"select 1 from {CATALOG}.ducklake_data_file where end_snapshot is null limit 1"
    if not has_own and connection.execute(current).fetchall():
        raise DataFolderError(
            f"{data_path} holds none of the files that the catalog knows: is it mounted, and is AUDIT_DATA_PATH right?"
        )
    mark(connection, data_path, warehouse)


def is_own(name: str, folders: tuple[str, ...]) -> bool:
    """Whether a file, named relative to the data folder, lies in one of the tables' folders and is named as theirs."""
    return name.startswith(folders) and is_in_folder(name)


def is_in_folder(name: str) -> bool:
    """Whether a name, relative to the data folder, leads nowhere else, and its file is named as DuckLake names them."""
    return ".." not in name.split("/") and _OWN_NAME.fullmatch(name.rsplit("/", 1)[-1]) is not None


def relative(path: str, data_path: str) -> str:
    """The name of a file relative to the data folder; both as DuckDB has them."""
    return path.removeprefix(data_path)


def _require_owner(owner: str | None, data_path: str, warehouse: str) -> None:
    if owner != warehouse:
        raise DataFolderError(
            f"the data in {data_path} belongs to the warehouse {owner}, but the catalog belongs to "
            f"{warehouse}: check AUDIT_CATALOG and AUDIT_DATA_PATH, or restore the catalog that belongs to "
            "the data"
        )


def _owner(connection: duckdb.DuckDBPyConnection, data_path: str) -> str | None:
    """The id of the warehouse that the folder is marked with; None where it is not marked.

    Raises:
        DataFolderError: if the mark has something else.
    """
    owner = _mark(connection, data_path).strip()
    if owner and not _ID.fullmatch(owner):
        raise DataFolderError(
            f"{data_path}{MARKER} is damaged: it does not have the id of a warehouse. Restore it from a backup, or "
            "remove it: the next command that writes makes it again, if all files there belong to the warehouse"
        )
    return owner or None


def _mark(connection: duckdb.DuckDBPyConnection, data_path: str) -> str:
    """What the mark has; nothing where there is none."""
    if (folder := local_path(data_path)) is not None:
        try:
            return (folder / MARKER).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
    # A bucket is listed, because reading what is not there is an error like any other.
    if not connection.execute("select 1 from glob(?)", [f"{data_path}{MARKER}*"]).fetchall():
        return ""
    ((content,),) = connection.execute("select content from read_text(?)", [data_path + MARKER]).fetchall()
    return str(content)


def _files(connection: duckdb.DuckDBPyConnection, data_path: str) -> Iterator[str]:
    """The files of the folder, with those below it, by their names relative to it; without the marker."""
    folder = local_path(data_path)
    if folder is None:
        rows = connection.execute("select file from glob(?)", [f"{data_path}**"]).fetchall()
        names: Iterator[str] = (relative(file, data_path) for (file,) in rows)
    else:
        names = local_files(folder)
    # The second is what a crash leaves of the first.
    return (name for name in names if name not in (MARKER, f".{MARKER}.new"))


def local_files(folder: Path) -> Iterator[str]:
    """The files of a folder of this machine, with those below it, by their names relative to it."""
    for path, folders, files in os.walk(folder):
        if Path(path) == folder and _OF_THE_DISK in folders:
            folders.remove(_OF_THE_DISK)
        links = [name for name in folders if (Path(path) / name).is_symlink()]
        for name in sorted([*files, *links]):
            yield (Path(path) / name).relative_to(folder).as_posix()
