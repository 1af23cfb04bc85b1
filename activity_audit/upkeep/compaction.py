"""Compaction: many small data files of a table become few, and no reader is disturbed.

A table's small files are rewritten as a change like any other: the new files belong to a new snapshot, the old ones
to the snapshots before it, until those expire. DuckLake's own `merge_adjacent_files` would take less space, but it
removes the old files from the catalog at once; with a SQLite catalog a transaction that is under way then finds
neither the old ones nor the new ones, and reads an empty table (ADR 0009).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import duckdb

from activity_audit.base.sql_text import literal
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake, lake_catalog
from activity_audit.warehouse.contract import PublishedModel
from activity_audit.warehouse.transactions import snapshot_now, transaction

# A file of this many bytes is read at full speed; below it, opening files costs more than reading them.
FULL_FILE = 32 * 1024 * 1024
# So many small files of a partition are rewritten together; for fewer it would be done again and again.
_ENOUGH = 4
# Of the memory of a run. What is rewritten together is sorted, and with more than this no faster.
_MEMORY = 1 / 3


def compact(connection: duckdb.DuckDBPyConnection, models: Iterable[PublishedModel], settings: Settings) -> None:
    """Rewrite the partitions of these public tables that have many small files, some files in each transaction.

    What an earlier release left in the catalog goes into files with them. What the tables say stays the same, row by
    row. The connection has `work` and `audit` attached, and from here on less memory.
    """
    connection.execute(f"set memory_limit = '{settings.memory_share(_MEMORY)}'")
    tables = set(
        connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = 'audit'"
        ).fetchall()
    )
    for model in models:
        # A table that a newer release brings is there only after that release's first run.
        if (model.schema, model.name) not in tables:
            continue
        held = lake_catalog.sources(connection, model.schema, model.name)
        files = lake.data_files(connection, model.schema, model.name)
        for group in [*([name] for name in held), *to_rewrite([file for file in files if file[0] not in held])]:
            _rewrite(connection, model, group)
        if held:
            lake_catalog.end_emptied(connection, model.schema, model.name)


def to_rewrite(files: Iterable[tuple[str, int]]) -> list[list[str]]:
    """Which files, of all (path, bytes) of a table, are to be rewritten, and which of them together, as one file.

    These are a partition's small ones, if they are many. Together they are the size of a full file and less than twice
    that, so that a rewrite takes the same memory however many there are. A later file has a later name, so the files of
    a group are of about the same time.
    """
    small = defaultdict(list)
    for path, size in sorted(files):
        if size < FULL_FILE:
            small[path.rsplit("/", 1)[0]].append((path, size))
    groups: list[list[str]] = []
    for of_partition in small.values():
        if len(of_partition) < _ENOUGH:
            continue
        room = 0
        for path, size in of_partition:
            if room <= 0:
                groups.append([])
                room = FULL_FILE
            groups[-1].append(path)
            room -= size
    return [group for group in groups if len(group) > 1]


def _rewrite(connection: duckdb.DuckDBPyConnection, model: PublishedModel, files: Sequence[str]) -> None:
    table = f"audit.{model.schema}.{model.name}"
    listed = ", ".join(map(literal, files))
    # DuckLake sorts what goes into a sorted table itself.
    order = f" order by {', '.join(model.order_by)}" if model.order_by and not model.sorted_by else ""
    since = snapshot_now(connection)
    connection.execute(f"create or replace table work.main.compacted as from {table} where filename in ({listed})")
    with transaction(connection, "compaction", {}, since=since):
        connection.execute(f"delete from {table} where filename in ({listed})")
        connection.execute(f"insert into {table} from work.main.compacted{order}")
