"""What retention has deleted, as the ledger has it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from activity_audit.base.hours import naive
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import DELETION

if TYPE_CHECKING:
    import duckdb


def deleted_deliveries(
    connection: duckdb.DuckDBPyConnection, window: tuple[datetime, datetime] | None = None
) -> set[str]:
    """The ids of the deliveries whose batch was deleted, in the half-open window of feed hours or in all."""
    return {delivery for _, _, delivery in deleted_files(connection, window)}


def deleted_files(
    connection: duckdb.DuckDBPyConnection, window: tuple[datetime, datetime] | None = None
) -> list[tuple[str, datetime, str]]:
    """Feed, feed hour (a plain UTC timestamp) and id of those deliveries, in this order."""
    where, arguments = "", []
    if window:
        where, arguments = "where feed_hour_utc >= ? and feed_hour_utc < ?", [naive(time) for time in window]
    return connection.execute(
        f"""
        select feed, feed_hour_utc, delivery_id
        from audit.quality.feed_delivery
        semi join (
            select feed, feed_hour_utc, run_id from audit.{ledger.TABLE} where kind = '{DELETION}'
        ) as deleted using (feed, feed_hour_utc, run_id)
        {where}
        order by all
        """,
        arguments,
    ).fetchall()
