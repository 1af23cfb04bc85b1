"""The version of what a home and its warehouse hold: tables, index, notes, journals, saved reports, Dagster's records.

It is one number for all of it. A release that changes any of it raises the number, and has a step that brings a home of
the number before to it (`upkeep.migrations`). The warehouse has it as a row among DuckLake's own options, which it
leaves alone, and the home in its record, because several homes may share a warehouse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from activity_audit.base.sql_text import literal

if TYPE_CHECKING:
    import duckdb

# What this release writes.
VERSION = 5
# That of releases that recorded none.
UNRECORDED = 1
_KEY = "activity_audit_version"
# DuckLake attaches the catalog of `audit` beside it by this name.
_CATALOG = "__ducklake_metadata_audit"


def of_warehouse(connection: duckdb.DuckDBPyConnection) -> int:
    """The version of the warehouse that is attached as `audit`."""
    query = f"select value from {_CATALOG}.ducklake_metadata where key = {literal(_KEY)}"
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else UNRECORDED


def record(connection: duckdb.DuckDBPyConnection, version: int) -> None:
    """Have the warehouse that is attached as `audit` be of this version."""
    connection.execute(f"delete from {_CATALOG}.ducklake_metadata where key = {literal(_KEY)}")
    connection.execute(
        f"insert into {_CATALOG}.ducklake_metadata (key, value) values ({literal(_KEY)}, {literal(str(version))})"
    )


def newer(what: str, found: int, release: str | None = None) -> str:
    """What is to be said of something that a newer release has written."""
    by = f"release {release}" if release else "a newer release"
    return (
        f"{what} has version {found} of the home's format, which {by} wrote; this release knows versions up to "
        f"{VERSION}: install that release or a later one, or restore a backup from before the upgrade "
        "(docs/operations.md, Upgrade)"
    )
