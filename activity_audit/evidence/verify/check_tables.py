"""Do the tables agree where no digest ties them: the reconciliation, and what events say about where they are from?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from activity_audit.evidence.verify.findings import Finding, Problem, batch_name
from activity_audit.ledger import replays

if TYPE_CHECKING:
    import duckdb

_COUNTS = ("received", "accepted", "duplicate", "quarantined", "offset_normalised", "late", "files", "bytes", "sha256")
# What a replay changes when it resolves a record.
_MOVED = ("accepted", "duplicate", "quarantined", "offset_normalised", "late")


def check_reconciliation(connection: duckdb.DuckDBPyConnection, where: str) -> Iterator[Finding]:
    """The rows of `quality.feed_reconciliation` whose figures are not the sums over the hour's deliveries and replays.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    moved = ", ".join(f"delivered.{name} + coalesce(resolved.{name}, 0) as {name}" for name in _MOVED)
    pairs = ", ".join(f"reconciled.{name}, counted.{name}" for name in _COUNTS)
    rows = connection.execute(f"""
        with
        reconciled as (select * from audit.quality.feed_reconciliation where {where}),
        resolved as (
            select
                feed, feed_hour_utc, count(*) filter (disposition = 'accepted') as accepted,
                count(*) filter (disposition = 'duplicate') as duplicate, -count(*) as quarantined,
                count(*) filter (offset_normalised) as offset_normalised, count(*) filter (late) as late
            from ({replays.resolving(connection, where)}) group by all
        ),
        delivered as (
            select
                feed, feed_hour_utc, sum(received) as received, sum(accepted) as accepted,
                sum(duplicate) as duplicate, sum(quarantined) as quarantined,
                sum(offset_normalised) as offset_normalised, sum(late) as late, count(*) as files,
                sum(bytes) as bytes, string_agg(sha256, ',' order by name, landed_at_utc, sha256) as sha256
            from audit.quality.feed_delivery where {where}
            group by all
        ),
        counted as (
            select delivered.* replace ({moved})
            from delivered left join resolved using (feed, feed_hour_utc)
        )
        select
            feed, feed_hour_utc, reconciled.feed is null, counted.feed is null, {pairs}
        from reconciled full join counted using (feed, feed_hour_utc)
        order by feed_hour_utc, feed
    """).fetchall()
    for feed, hour, is_gone, is_empty, *values in rows:
        what = f"{feed} {hour:%Y-%m-%dT%H:%MZ}"
        if is_gone:
            detail = "the hour has deliveries, but no row of quality.feed_reconciliation"
            yield Finding("reconciliation", "missing", what, detail)
            continue
        counted = [
            0 if value is None and name != "sha256" else value
            for name, value in zip(_COUNTS, values[1::2], strict=True)
        ]
        differing = [
            f"{name} is {said!s}, the deliveries and replays give {found!s}"
            for name, said, found in zip(_COUNTS, values[::2], counted, strict=True)
            if said != found
        ]
        if differing:
            problem: Problem = "added" if is_empty else "changed"
            yield Finding("reconciliation", problem, what, "; ".join(differing))


def check_origins(connection: duckdb.DuckDBPyConnection, where: str) -> Iterator[Finding]:
    """Events whose file or position is none that was delivered in their hour, or whose hour is not that of their time.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    rows = connection.execute(f"""
        with
        event as (
            select
                feed, feed_hour_utc, run_id, source_uri, min(source_record) as first, max(source_record) as last,
                count(*) as events, min(event_id) as example,
                count(*) filter (event_hour_utc is distinct from date_trunc('hour', event_time_utc)) as misplaced
            from audit.main.fact_activity_event where {where}
            group by all
        ),
        delivery as (
            select feed, feed_hour_utc, source_uri, max(received) as received
            from audit.quality.feed_delivery where {where}
            group by all
        )
        select feed, feed_hour_utc, run_id, source_uri, events, example, misplaced, received
        from event left join delivery using (feed, feed_hour_utc, source_uri)
        where received is null or first < 1 or last > received or misplaced > 0
        order by all
    """).fetchall()
    for feed, hour, run_id, uri, events, example, misplaced, received in rows:
        name = batch_name((feed, hour, run_id))
        if misplaced:
            yield Finding(
                "fact", "changed", name, f"{misplaced} events of {uri} have an event_hour_utc that is not theirs"
            )
        elif received is None:
            detail = (
                f"{events} events, such as {example!r}, name {uri} as their source, which was not delivered in "
                "that hour"
            )
            yield Finding("fact", "changed", name, detail)
        else:
            detail = f"events name positions that {uri} does not have; it has {received} records"
            yield Finding("fact", "changed", name, detail)
