"""Files in the data folder that belong to no snapshot: a killed run wrote them and did not publish.

Another program could have put a file there as well, or a warehouse that shares the folder by mistake. So no routine
deletes them: they are counted, and deleted where somebody asks for it, and only those that bear our name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb

from activity_audit.base.storage_paths import local_path
from activity_audit.warehouse.data_folder import is_in_folder, is_own, local_files, relative
from activity_audit.warehouse.lake_catalog import CATALOG, known_files, table_folders

if TYPE_CHECKING:
    from pathlib import Path


# The files of tables have small numbers; these are only told apart from them and from one another.
_FIRST_NUMBER = 9_000_000_000_000_000_000
_LONG_AGO = "1970-01-01 00:00:00+00"


@dataclass(frozen=True)
class Leftovers:
    """Parquet files that no snapshot knows, by their names relative to the data folder: our own, and others'."""

    own: Sequence[str]
    foreign: Sequence[str]


def find(connection: duckdb.DuckDBPyConnection, data_path: str, before: datetime) -> Leftovers:
    """Those that were written before that time (aware); the connection has `audit` attached."""
    folders = table_folders(connection)
    names = sorted(_unknown(connection, data_path, before))
    own = [name for name in names if is_own(name, folders)]
    return Leftovers(own, [name for name in names if name not in set(own)])


def _unknown(connection: duckdb.DuckDBPyConnection, data_path: str, before: datetime) -> Iterator[str]:
    folder = local_path(data_path)
    if folder is None:
        found = connection.execute(
            "call ducklake_delete_orphaned_files('audit', dry_run => true, older_than => ?)", [before]
        ).fetchall()
        yield from (relative(path, data_path) for (path,) in found)
        return
    # DuckLake would take the folder's name for a pattern, and list the files of other folders that it fits.
    known = {relative(path, data_path) for path in known_files(connection)}
    for name in local_files(folder):
        if name.endswith(".parquet") and name not in known and _is_before(folder / name, before):
            yield name


def _is_before(path: Path, moment: datetime) -> bool:
    try:
        return path.stat().st_mtime < moment.timestamp()
    except FileNotFoundError:
        # It is gone, or a link that leads nowhere.
        return False


def give_up(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> None:
    """Enter files in the catalog's list of what is to be removed; its next cleanup removes them, in a bucket too."""
    for block in _blocks(names):
        rows = ", ".join(["(?, ?, ?, ?)"] * len(block))
        values = [value for number, name in block for value in (_FIRST_NUMBER + number, name, 1, _LONG_AGO)]
        connection.execute(
            f"insert into {CATALOG}.ducklake_files_scheduled_for_deletion "
            f"(data_file_id, path, path_is_relative, schedule_start) values {rows}",
            values,
        )


def strange(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """What the catalog lists as to be removed and no table of ours can have had; a cleanup would remove it."""
    rows = connection.execute(
        f"select path, path_is_relative from {CATALOG}.ducklake_files_scheduled_for_deletion order by path"
    ).fetchall()
    return [path for path, is_relative in rows if not (is_relative and is_in_folder(path))]


def _blocks(names: Sequence[str], size: int = 500) -> Iterator[list[tuple[int, str]]]:
    numbered = list(enumerate(names))
    return (numbered[start : start + size] for start in range(0, len(numbered), size))
