"""Finds data files that are missing or differ from the catalog, after a table could not be read."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from activity_audit.base.sql_text import file_literal, parquet_rows
from activity_audit.base.vocabulary import FACT_NAME
from activity_audit.evidence.verify.findings import Finding, Layer
from activity_audit.warehouse import lake

FACT = f"main.{FACT_NAME}"
_TABLES: tuple[tuple[str, str, Layer], ...] = (
    ("main", FACT_NAME, "fact"),
    ("quality", "known_event_id", "key"),
    ("quality", "observed_name", "derived"),
    ("main", "agg_activity_hourly", "derived"),
    ("main", "dim_application", "derived"),
    ("main", "dim_entity_activity", "derived"),
    ("quality", "feed_delivery", "delivery"),
    ("quality", "quarantined_event", "quarantine"),
    ("quality", "feed_reconciliation", "reconciliation"),
    ("quality", "integrity_ledger", "ledger"),
)


@dataclass(frozen=True)
class WrongFile:
    """A data file that is not what the catalog says; one that `is_readable` still has rows to look at."""

    table: str
    path: str
    is_readable: bool
    finding: Finding


def wrong_files(connection: duckdb.DuckDBPyConnection) -> list[WrongFile]:
    """Those of the data files of the tables that verify reads."""
    found = []
    for schema, table, layer in _TABLES:
        # One that a newer release brought is in no snapshot of before.
        if not lake.has_table(connection, schema, table):
            continue
        files = lake.data_files(connection, schema, table)
        name = f"{schema}.{table}"
        found += [wrong for path, size in files if (wrong := _look(connection, name, layer, path, size))]
    return found


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
