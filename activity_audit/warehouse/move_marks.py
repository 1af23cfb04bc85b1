"""The mark in a catalog that closes it: its warehouse was moved away, or is being moved or restored into it.

Two catalogs of one warehouse that both take runs would part its ledger in two. The mark is a row among DuckLake's own
options, which it leaves alone.
"""

from __future__ import annotations

import json
from typing import Any

import duckdb

from activity_audit.base.masking import without_secrets
from activity_audit.base.sql_text import literal

_KEY = "activity_audit_move"
# DuckLake attaches the catalog of `audit` beside it by this name.
_OF_AUDIT = "__ducklake_metadata_audit"


def read(connection: duckdb.DuckDBPyConnection, catalog: str = _OF_AUDIT) -> dict[str, Any]:
    """The mark of an attached catalog database: `to` and `at`, `from`, or `restore`; empty where it is open."""
    query = f"select value from {catalog}.ducklake_metadata where key = {literal(_KEY)}"
    row = connection.execute(query).fetchone()
    return json.loads(row[0]) if row else {}


def write(connection: duckdb.DuckDBPyConnection, catalog: str, mark: dict[str, Any]) -> None:
    """Give an attached catalog database this mark, or none if it is empty."""
    connection.execute(f"delete from {catalog}.ducklake_metadata where key = {literal(_KEY)}")
    if mark:
        values = f"{literal(_KEY)}, {literal(json.dumps(mark))}"
        connection.execute(f"insert into {catalog}.ducklake_metadata (key, value) values ({values})")


def why_closed(connection: duckdb.DuckDBPyConnection, catalog: str = "this catalog") -> str | None:
    """What is to be said of the catalog that is attached as `audit`, if it is closed; `catalog` is its name."""
    mark, catalog = read(connection), _plain(catalog)
    if to := mark.get("to"):
        return without_secrets(
            f"the warehouse of {catalog} was moved to {_plain(to['catalog'])} at {mark['at']}; set AUDIT_CATALOG and "
            f"AUDIT_DATA_PATH ({to['data_path']}) to where it is now"
        )
    if backup := mark.get("restore"):
        return without_secrets(
            f"the backup {backup} is being restored into {catalog}, and not all of it is there; repeat the same "
            "`audit restore`"
        )
    if mark:
        return without_secrets(
            f"the warehouse from {_plain(mark['from'])} is being moved to {catalog}, and not all of it is there; "
            "repeat the same `audit move`, with the settings that it had"
        )
    return None


def _plain(catalog: str) -> str:
    """A catalog as its setting names it, and not as DuckDB does."""
    return catalog.removeprefix("ducklake:")
