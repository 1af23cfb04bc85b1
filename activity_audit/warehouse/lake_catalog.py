"""DuckLake's own catalog tables, and the rows that it keeps there; connections have the warehouse attached as `audit`.

Rows and deletions that are too few for a file lie in the catalog ("inlined"). This release writes none. What an earlier
one left is brought into files here, so that who reads the catalog's list of files reads what the tables say; and what
no snapshot has any more is removed, which expiring snapshots does not do.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from activity_audit.base.sql_text import literal
from activity_audit.warehouse import lake

# The catalog's tables, as DuckLake attaches them beside the warehouse.
CATALOG = "__ducklake_metadata_audit"
# The folder of every table that there ever was, relative to the data folder.
_FOLDERS = f"""
    select known.table_id, place.path || known.path as folder
    from {CATALOG}.ducklake_table as known
    inner join {CATALOG}.ducklake_schema as place using (schema_id)
"""
_DELETIONS = "ducklake_inlined_delete_"


def warehouse_id(connection: duckdb.DuckDBPyConnection) -> str:
    """What tells this warehouse from any other: it is made with the catalog, and never changes."""
    query = f"select schema_uuid from {CATALOG}.ducklake_schema where schema_id = 0"
    return str(connection.execute(query).fetchall()[0][0])


def keep_transactions_whole(connection: duckdb.DuckDBPyConnection) -> None:
    """Have a reader's transaction miss no delete file that a run replaces, where the catalog is a SQLite file.

    The second deletion from a data file replaces its delete file by another row. DuckDB's SQLite scanner reads current
    rows, but only those in the range of row numbers that a transaction saw first, so that it would find neither, and
    have deleted rows again. Of a table that has a row with a negative number it reads all rows. No snapshot has this
    one: it belongs to no table (ADR 0009).
    """
    query = "select min(rowid) < 0 from ducklake_delete_file"
    if _sqlite(connection, query) != [("1",)]:
        _sqlite(
            connection,
            # Neither current, for those who read the list without DuckLake, nor ever past, for expiry.
            "insert or replace into ducklake_delete_file (rowid, delete_file_id, begin_snapshot, end_snapshot) "
            "values (-1, -1, 0, 9223372036854775807) returning rowid",
        )


def _sqlite(connection: duckdb.DuckDBPyConnection, statement: str) -> list[tuple[str, ...]]:
    """What SQLite itself answers to a statement that returns rows, as text; by DuckDB, which shares its locks."""
    return connection.execute("from sqlite_query(?, ?)", [CATALOG, statement]).fetchall()


def known_files(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Every file that a snapshot has, or that is to be removed: relative to the data folder, or absolute."""
    rows = connection.execute(f"select path from {CATALOG}.ducklake_files_scheduled_for_deletion").fetchall()
    return files_of_snapshots(connection) | {path for (path,) in rows}


def files_of_snapshots(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Every file that a snapshot has: relative to the data folder, or absolute."""
    rows = connection.execute(
        f"""
        with file as (
            select table_id, path, path_is_relative from {CATALOG}.ducklake_data_file
            union all
            select table_id, path, path_is_relative from {CATALOG}.ducklake_delete_file
        )
        select case when file.path_is_relative then folder || file.path else file.path end
        from file inner join ({_FOLDERS}) using (table_id)
        """
    ).fetchall()
    return {path for (path,) in rows}


def table_folders(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """The folder of every table that there ever was, relative to the data folder, such as `main/dim_application/`."""
    rows = connection.execute(f"select distinct folder from ({_FOLDERS})").fetchall()
    return tuple(sorted(path for (path,) in rows))


def table_folder(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> str:
    """The folder of a table, relative to the data folder."""
    number = _table_id(connection, schema, table)
    return connection.execute(f"select folder from ({_FOLDERS}) where table_id = ?", [number]).fetchall()[0][0]


def column_numbers(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> dict[str, int]:
    """The number of each column of a table, which its data files have as the field's id."""
    return dict(
        connection.execute(
            f"select column_name, column_id from {CATALOG}.ducklake_column where table_id = ? and end_snapshot is null",
            [_table_id(connection, schema, table)],
        ).fetchall()
    )


def mend_partition_values(connection: duckdb.DuckDBPyConnection) -> None:
    """Let the partition values of registered files be what the names of their folders say, in the order of the keys.

    DuckLake 1.5 gives each of them the number of the last key, where several are of one column, and takes them from a
    folder above the table that is named alike. It reads files by their smallest and largest values and not by these,
    but other programs may. No snapshot is changed by it.
    """
    wrong = (
        f"select data_file_id from {CATALOG}.ducklake_file_partition_value group by data_file_id "
        "having count(*) > count(distinct partition_key_index)"
    )
    files = connection.execute(
        f"""
        select file.data_file_id, file.table_id, regexp_extract_all(file.path, '[^/=]+=([^/]*)/', 1)
        from {CATALOG}.ducklake_data_file as file where file.data_file_id in ({wrong})
        """
    ).fetchall()
    for file, table, values in files:
        rows = ", ".join(f"({file:d}, {table:d}, {place:d}, {literal(value)})" for place, value in enumerate(values))
        connection.execute(
            f"begin; delete from {CATALOG}.ducklake_file_partition_value where data_file_id = {file:d}; "
            f"insert into {CATALOG}.ducklake_file_partition_value values {rows}; commit"
        )


def sources(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[str]:
    """What `filename` is for those rows of a table that are in the catalog, or in a file of which it has deletions.

    The connection has `audit` attached. When these rows are written again, `end_emptied` ends the files.
    """
    number = _table_id(connection, schema, table)
    rows = connection.execute(
        f"select table_name from {CATALOG}.ducklake_inlined_data_tables where table_id = ?", [number]
    ).fetchall()
    held = [name for (name,) in rows if _has_rows(connection, name)]
    names = {path.rsplit("/", 1)[-1] for _, path in _with_deletions(connection, number)}
    files = [path for path, _ in lake.data_files(connection, schema, table) if path.rsplit("/", 1)[-1] in names]
    return held + files


def end_emptied(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> None:
    """End the files whose last rows are deleted in the catalog, which DuckLake itself never does.

    No snapshot is changed by it: those that had rows of such a file go on to have it. So no reader is disturbed.
    """
    number = _table_id(connection, schema, table)
    newest = lake.newest_version(connection)
    for file, _ in _with_deletions(connection, number, only_emptied=True):
        connection.execute(
            f"update {CATALOG}.ducklake_data_file set end_snapshot = {newest:d} where data_file_id = {file:d}"
        )


def remove_expired(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove what ended before the oldest snapshot that is kept; the connection has `audit` attached.

    No reader can ask for it, so none is disturbed.
    """
    tables = connection.execute(f"select table_name from {CATALOG}.ducklake_inlined_data_tables").fetchall()
    (oldest,) = connection.execute(f"select min(snapshot_id) from {CATALOG}.ducklake_snapshot").fetchall()[0]
    for (table,) in tables:
        connection.execute(f'delete from {CATALOG}."{table}" where end_snapshot <= ?', [oldest])
    for (number,) in connection.execute(f"select distinct table_id from {CATALOG}.ducklake_table").fetchall():
        if _has_deletions(connection, number):
            connection.execute(
                f'delete from {CATALOG}."{_DELETIONS}{number:d}" '
                f"where file_id not in (select data_file_id from {CATALOG}.ducklake_data_file)"
            )


def _with_deletions(
    connection: duckdb.DuckDBPyConnection, number: int, *, only_emptied: bool = False
) -> Sequence[tuple[int, str]]:
    """The id and the path, as the catalog has it, of each current file of a table that the catalog has deletions of.

    A file is emptied when these and those of its delete file are as many as its rows.
    """
    if not _has_deletions(connection, number):
        return []
    deleted = "known.count + coalesce(max(beside.delete_count), 0)"
    return connection.execute(
        f"""
        select file.data_file_id, file.path
        from {CATALOG}.ducklake_data_file as file
        inner join (
            select file_id, count(*) as count from {CATALOG}."{_DELETIONS}{number:d}" group by file_id
        ) as known on file.data_file_id = known.file_id
        left join {CATALOG}.ducklake_delete_file as beside
            on file.data_file_id = beside.data_file_id and beside.end_snapshot is null
        where file.table_id = ? and file.end_snapshot is null
        group by file.data_file_id, file.path, file.record_count, known.count
        {f"having {deleted} = file.record_count" if only_emptied else ""}
        order by file.data_file_id
        """,
        [number],
    ).fetchall()


def _has_deletions(connection: duckdb.DuckDBPyConnection, number: int) -> bool:
    """Whether the catalog keeps deletions of a table's rows; it is asked, because it does not list its own tables."""
    try:
        rows = connection.execute(f'select 1 from {CATALOG}."{_DELETIONS}{number:d}" limit 1').fetchall()
    except duckdb.CatalogException:
        return False
    return bool(rows)


def _has_rows(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    query = f'select count(*) from {CATALOG}."{name}" where end_snapshot is null'
    return connection.execute(query).fetchall() != [(0,)]


def columns(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> list[tuple[int, str, str, int | None]]:
    """The columns of a table in the snapshot that is attached, in their order: number, name, type by DuckLake's name.

    The data files know a column by its number. What a list consists of is a column too, whose parent is the list's.
    """
    return connection.execute(
        f"""
        select column_id, column_name, column_type, parent_column from {CATALOG}.ducklake_column
        where table_id = ? and begin_snapshot <= (select id from {lake.ALIAS}.current_snapshot())
        and (end_snapshot is null or end_snapshot > (select id from {lake.ALIAS}.current_snapshot()))
        order by column_order
        """,
        [_table_id(connection, schema, table)],
    ).fetchall()


def _table_id(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> int:
    (row,) = connection.execute(
        f"select table_id from {CATALOG}.ducklake_table as known join {CATALOG}.ducklake_schema using (schema_id) "
        "where schema_name = ? and table_name = ? and known.end_snapshot is null",
        [schema, table],
    ).fetchall()
    return row[0]
