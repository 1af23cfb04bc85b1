"""Does the quarantine say what the replays did? That a record is resolved must have a replay that resolved it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from activity_audit.evidence.verify.findings import Finding, listed
from activity_audit.ledger import replays

if TYPE_CHECKING:
    import duckdb


def check_resolutions(connection: duckdb.DuckDBPyConnection, where: str) -> Iterator[Finding]:
    """The quarantined records whose `resolved_at_utc` is not when a replay resolved them.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    rows = connection.execute(f"""
        select
            record.feed, record.feed_hour_utc,
            case
                when record.resolved_at_utc is null then 'in quarantine, and a replay resolved them'
                when replay.replayed_at_utc is null then 'resolved, and no replay resolved them'
                else 'resolved at another time than that of the replay that resolved them'
            end as what,
            list(record.source_uri || ' record ' || record.source_record order by record.source_record)
        from (
            select feed, feed_hour_utc, source_uri, source_record, delivery_id, resolved_at_utc
            from audit.quality.quarantined_event where {where}
        ) as record
        left join ({replays.resolving(connection, where)}) as replay
            on record.delivery_id = replay.delivery_id and record.source_record = replay.source_record
        where record.resolved_at_utc is distinct from replay.replayed_at_utc
        group by all order by record.feed_hour_utc, record.feed, what
    """).fetchall()
    for feed, hour, what, records in rows:
        detail = f"{len(records)} records are marked as {what}: {listed(records)}"
        yield Finding("quarantine", "changed", f"{feed} {hour:%Y-%m-%dT%H:%MZ}", detail)
