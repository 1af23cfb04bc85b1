"""Finds data files that are missing or differ from the catalog, after a table could not be read."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from activity_audit.base.sql_text import file_literal, parquet_rows
from activity_audit.base.vocabulary import FACT_NAME
from activity_audit.evidence.verify.findings import Finding, Layer, unreadable
from activity_audit.warehouse import lake

FACT = f"main.{FACT_NAME}"
_LAYERS: dict[str, Layer] = {
    FACT: "fact",
    "quality.known_event_id": "key",
    "quality.observed_name": "derived",
    "main.agg_activity_hourly": "derived",
    "main.dim_application": "derived",
    "main.dim_entity_activity": "derived",
    "quality.feed_delivery": "delivery",
    "quality.quarantined_event": "quarantine",
    "quality.replayed_record": "replay",
    "quality.feed_reconciliation": "reconciliation",
    "quality.deletion": "deletion",
    "quality.legal_hold": "hold",
    "quality.integrity_ledger": "ledger",
}


@dataclass(frozen=True)
class WrongFile:
    """A data file that is not what the catalog says; one that `is_readable` still has rows to look at."""

    table: str
    path: str
    is_readable: bool
    finding: Finding


def wrong_files(connection: duckdb.DuckDBPyConnection) -> list[WrongFile]:
    """Those of the data files of all tables that the snapshot has."""
    return [wrong for name in _tables(connection) for wrong in _wrong_files_of(connection, name)]


def unread_files(connection: duckdb.DuckDBPyConnection) -> list[Finding]:
    """The same of the tables that no other check reads, so that damage in them is named as well."""
    found: list[Finding] = []
    for name in _tables(connection):
        if name in _LAYERS:
            continue
        try:
            connection.execute(f"select bit_xor(hash(one)) from {lake.ALIAS}.{name} as one").fetchall()
        except duckdb.Error as error:
            files = [wrong.finding for wrong in _wrong_files_of(connection, name)]
            found += files or [unreadable(name, error)]
    return found


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables of the snapshot, `schema.name`: those that the checks read first, as they read them."""
    query = "select schema_name || '.' || table_name from duckdb_tables() where database_name = ? order by all"
    found = [name for (name,) in connection.execute(query, [lake.ALIAS]).fetchall()]
    return [name for name in _LAYERS if name in found] + [name for name in found if name not in _LAYERS]


def _wrong_files_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[WrongFile]:
    layer = _LAYERS.get(table, "warehouse")
    files = lake.data_files(connection, *table.split("."))
    return [wrong for path, size in files if (wrong := _look(connection, table, layer, path, size))]


def _look(connection: duckdb.DuckDBPyConnection, table: str, layer: Layer, path: str, size: int) -> WrongFile | None:
    """Read the file to its end, by itself."""
    try:
        sizes = connection.execute(f"select size from read_blob({file_literal(path)})").fetchall()
        if not sizes:
            detail = f"a data file of {table} is gone; restore it from a backup"
            return WrongFile(table, path, False, Finding(layer, "missing", path, detail))
        connection.execute(f"select bit_xor(hash(data)) from {parquet_rows(path)} as data").fetchall()
    except duckdb.Error as error:
        reason = str(error).strip().split("\n", 1)[0]
        detail = f"a data file of {table} is damaged; restore it from a backup: {reason}"
        return WrongFile(table, path, False, Finding(layer, "unreadable", path, detail))
    if sizes == [(size,)]:
        return None
    detail = f"a data file of {table} has {sizes[0][0]} bytes, and had {size} when it was written; restore it"
    return WrongFile(table, path, True, Finding(layer, "changed", path, detail))
