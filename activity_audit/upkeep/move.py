"""Moves a warehouse to another catalog, and other places for its data and its raw lake: to PostgreSQL and a bucket, and
back.

The catalog is copied row by row, so snapshots, run ids, `--at` and the ledger stay as they are. The old catalog is
closed before the new one is opened, so a warehouse never takes runs in two places. A move that was interrupted goes on
when it is repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from activity_audit.base.hours import iso, now_utc
from activity_audit.base.masking import without_secrets
from activity_audit.base.sql_text import literal
from activity_audit.base.storage_paths import local_path
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import Entry
from activity_audit.raw.lake import RawLake, raw_lake
from activity_audit.raw.store import RawStore
from activity_audit.settings.core import Settings
from activity_audit.upkeep import move_raw
from activity_audit.upkeep.catalogs import (
    attached,
    attached_lake,
    connected,
    copy_rows,
    files_of,
    is_file_missing,
    own_tables,
    require_rows_in_files,
)
from activity_audit.upkeep.copying import copy_missing, store_at
from activity_audit.warehouse import data_folder, lake, lake_catalog, move_marks
from activity_audit.warehouse.lake_catalog import CATALOG
from activity_audit.warehouse.lake_location import (
    ALIAS,
    Location,
    WarehouseError,
    location,
    unreachable,
)
from activity_audit.warehouse.run_lock import exclusive
from activity_audit.warehouse.transactions import (
    PublishedMeanwhileError,
    in_transaction,
    snapshot_now,
    transaction,
)

_OLD, _NEW = "moved_from", "moved_to"
_FENCE = "moved away"


class MoveError(WarehouseError):
    """The warehouse cannot be moved there; the message says why and what to do."""


@dataclass(frozen=True)
class Moved:
    """What the new place has: data files and raw files with their bytes, and the newest entry of the ledger.

    Raw files that are where they were are not counted.
    """

    files: int
    bytes: int
    raw_files: int
    raw_bytes: int
    head: Entry | None


def move(settings: Settings, target: Settings, progress: Callable[[str], None] = lambda _: None) -> Moved:
    """Move the warehouse of `settings` to the catalog, the data folder and the raw lake of `target`.

    Raises:
        MoveError: if something else is there, or another home published meanwhile.
        WarehouseError: if one of the two places cannot be reached, or the warehouse was moved elsewhere.
        WarehouseBusyError: if a run held the warehouse for too long.
    """
    old, new = location(settings), location(target)
    if old.catalog == new.catalog:
        raise MoveError(f"{without_secrets(old.catalog)} is the catalog already; name another one")
    old_raw, new_raw = raw_lake(settings), raw_lake(target)
    there = {"catalog": without_secrets(new.catalog), "data_path": new.data_path}
    with exclusive(settings, progress), connected(settings, old, new) as connection:
        try:
            is_closed = _mark(connection, old).get("to") == there
            if is_closed and not _mark(connection, new):
                with attached_lake(connection, new):
                    return _there_is(connection, (0, 0))
            if not is_closed:
                progress("copying the data")
                _make_room(connection, settings, old, new, old_raw, new_raw)
                if old.data_path != new.data_path:
                    space = local_path(new.data_path) or settings.work_dir
                    copy_missing(_data(old), _data(new), _files(connection, old), space)
                move_raw.copy_files(old_raw, new_raw)
                progress("copying the catalog")
                _copy_catalog(connection, old, new)
                _set_mark(connection, old, _OLD, {"to": there, "at": iso(now_utc())})
            return _hand_over(connection, old, new, lambda: move_raw.hand_over(old_raw, new_raw, settings.lock_timeout))
        except duckdb.Error as error:
            raise unreachable(new, error) from None


def _mark(connection: duckdb.DuckDBPyConnection, where: Location) -> dict[str, Any]:
    if is_file_missing(where):
        return {}
    with attached(connection, where, _OLD):
        return move_marks.read(connection, _OLD) if own_tables(connection, _OLD) else {}


def _set_mark(connection: duckdb.DuckDBPyConnection, where: Location, name: str, mark: dict[str, Any]) -> None:
    with attached(connection, where, name):
        move_marks.write(connection, name, mark)


def _make_room(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    old: Location,
    new: Location,
    old_raw: RawLake,
    new_raw: RawLake,
) -> None:
    """Have an empty catalog in the new place that is marked as being moved to, and places of this warehouse's own."""
    with lake.reader(settings) as reading:
        warehouse = lake_catalog.warehouse_id(reading)
    mark = {"from": without_secrets(old.catalog)}
    if _is_taken(connection, new, mark):
        raise MoveError(
            f"{without_secrets(new.catalog)} holds a warehouse already; name an empty database or another file, or "
            "move that warehouse away"
        )
    try:
        data_folder.require_empty(connection, new.data_path, unless_of=warehouse)
    except data_folder.DataFolderError as error:
        raise MoveError(str(error)) from None
    if reason := move_raw.why_taken(old_raw, new_raw, warehouse):
        raise MoveError(reason)
    if new.catalog_file:
        Path(new.catalog_file).parent.mkdir(parents=True, exist_ok=True)
    with attached_lake(connection, new):
        move_marks.write(connection, CATALOG, mark)
        data_folder.mark(connection, new.data_path, warehouse)
    move_raw.take(old_raw, new_raw, warehouse)


def _is_taken(connection: duckdb.DuckDBPyConnection, new: Location, mark: dict[str, Any]) -> bool:
    """Whether a catalog has tables, or is that of another move."""
    if is_file_missing(new):
        return False
    with attached(connection, new, _NEW):
        if not own_tables(connection, _NEW):
            return False
        found = move_marks.read(connection, _NEW)
        tables = connection.execute(f"select 1 from {_NEW}.ducklake_table limit 1").fetchone()
        return found != mark and bool(found or tables)


def _files(connection: duckdb.DuckDBPyConnection, old: Location) -> list[str]:
    with attached_lake(connection, old):
        require_rows_in_files(connection)
        return files_of(connection, old.data_path)


def _data(where: Location) -> RawStore:
    return store_at(where.data_path, "AUDIT_DATA_PATH")


def _copy_catalog(connection: duckdb.DuckDBPyConnection, old: Location, new: Location) -> None:
    """Make every row of the new catalog that of the old one, in one transaction."""
    with attached(connection, old, _OLD), attached(connection, new, _NEW), in_transaction(connection):
        if (mark := move_marks.read(connection, _NEW)) != {"from": without_secrets(old.catalog)}:
            raise MoveError(f"another move into {without_secrets(new.catalog)} began meanwhile; name another place")
        copy_rows(connection, _OLD, _NEW, new.data_path)
        move_marks.write(connection, _NEW, mark)


def _hand_over(
    connection: duckdb.DuckDBPyConnection, old: Location, new: Location, hand_over_raw: Callable[[], tuple[int, int]]
) -> Moved:
    """Open the new catalog, once it is known to have all that the old one has, which no run can change any more."""
    with attached_lake(connection, new):
        since, rows, head = snapshot_now(connection), _rows(connection), ledger.newest(connection)
    with attached_lake(connection, old):
        try:
            _fence(connection, since)
        except PublishedMeanwhileError:
            move_marks.write(connection, CATALOG, {})
            raise MoveError("a run was published while the warehouse was moved; repeat the command") from None
        if (rows, head) != (_rows(connection), ledger.newest(connection)):
            raise MoveError(f"{without_secrets(new.catalog)} has not what the old catalog has; the old one is closed")
    copied = hand_over_raw()
    _set_mark(connection, new, _NEW, {})
    with attached_lake(connection, new):
        return _there_is(connection, copied)


def _there_is(connection: duckdb.DuckDBPyConnection, raw: tuple[int, int]) -> Moved:
    ((number, size),) = connection.execute(
        f"select count(*), coalesce(sum(file_size_bytes), 0) from {CATALOG}.ducklake_data_file"
    ).fetchall()
    return Moved(number, size, *raw, ledger.newest(connection))


def _fence(connection: duckdb.DuckDBPyConnection, since: int | None) -> None:
    """Make a snapshot onto `since`, so that no run that began before can commit; once is enough."""
    newest = connection.execute(
        f"select commit_message from {ALIAS}.snapshots() order by snapshot_id desc limit 1"
    ).fetchall()
    if newest != [(_FENCE,)]:
        ((text,),) = connection.execute(
            "select comment from duckdb_tables() where database_name = ? and table_name = 'pipeline_run'", [ALIAS]
        ).fetchall()
        with transaction(connection, _FENCE, {}, since=since, is_move=True):
            connection.execute(f"comment on table {ALIAS}.quality.pipeline_run is {literal(text)}")


def _rows(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    tables = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = ? order by all", [ALIAS]
    ).fetchall()
    return {
        f"{schema}.{table}": connection.execute(f"select count(*) from {ALIAS}.{schema}.{table}").fetchall()[0][0]
        for schema, table in tables
    }
