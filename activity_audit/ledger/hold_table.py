"""The rows of `quality.legal_hold`."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

from activity_audit.ledger.hold_rules import HoldRow
from activity_audit.warehouse import lake

if TYPE_CHECKING:
    import duckdb

_TABLE = "legal_hold"
_COLUMNS = "hold_id, action, application, from_utc, to_utc, reason, by_whom, recorded_at_utc"


def rows_of(connection: duckdb.DuckDBPyConnection) -> list[HoldRow]:
    """Every row of `quality.legal_hold`, in the order of recording; none where there is no such table yet."""
    if not lake.has_table(connection, "quality", _TABLE):
        return []
    query = f"select {_COLUMNS} from audit.quality.{_TABLE} order by recorded_at_utc, hold_id, action"
    return [HoldRow(*row) for row in connection.execute(query).fetchall()]


def insert(connection: duckdb.DuckDBPyConnection, row: HoldRow) -> None:
    """Add a row; whoever calls this adds its entry to the ledger in the same transaction."""
    statement = f"insert into audit.quality.{_TABLE} ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)"
    connection.execute(statement, list(astuple(row)))
