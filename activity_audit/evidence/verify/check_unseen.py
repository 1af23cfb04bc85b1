"""Has a table rows that no slice of feed hours saw? Those without a feed hour, and those of which the catalog lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from activity_audit.evidence.verify.findings import Finding, Layer
from activity_audit.warehouse import lake

if TYPE_CHECKING:
    import duckdb

_TABLES: dict[Layer, tuple[str, str]] = {
    "fact": ("main", "fact_activity_event"),
    "quarantine": ("quality", "quarantined_event"),
    "delivery": ("quality", "feed_delivery"),
    "replay": ("quality", "replayed_record"),
}


def check_unseen(connection: duckdb.DuckDBPyConnection, seen: Mapping[Layer, int]) -> Iterator[Finding]:
    """Compare how many rows each table has with how many were looked at, in all feed hours.

    Rows are counted by reading them, without a condition: by the catalog's statistics a file with an event may be
    passed over wherever an hour is asked for, and would still be read where none is.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    for layer, (schema, table) in _TABLES.items():
        if not lake.has_table(connection, schema, table):
            continue
        ((rows, without_hour),) = connection.execute(f"""
            select coalesce(sum(n), 0), coalesce(sum(n) filter (feed_hour_utc is null), 0)
            from (select feed_hour_utc, count(*) as n from audit.{schema}.{table} group by all)
        """).fetchall()
        if rows != seen[layer]:
            detail = (
                f"{rows - seen[layer]} of its {rows} rows belong to none of the feed hours; {without_hour} "
                "have no feed hour"
            )
            yield Finding(layer, "added" if rows > seen[layer] else "missing", f"{schema}.{table}", detail)
