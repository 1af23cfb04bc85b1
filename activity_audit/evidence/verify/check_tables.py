"""Checks that no digest covers: reconciliation sums, origins of events, resolutions, rows outside every slice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import duckdb

from activity_audit.base.vocabulary import COUNTS, FACT, FACT_NAME, MOVED_COUNTS
from activity_audit.evidence.verify.findings import Finding, Layer, Problem, batch_name, listed
from activity_audit.ledger import replays
from activity_audit.warehouse import lake

_COUNTS = (*COUNTS, "files", "bytes", "sha256")
_TABLES: dict[Layer, tuple[str, str]] = {
    "fact": ("main", FACT_NAME),
    "quarantine": ("quality", "quarantined_event"),
    "delivery": ("quality", "feed_delivery"),
    "replay": ("quality", "replayed_record"),
}


def check_reconciliation(connection: duckdb.DuckDBPyConnection, where: str) -> Iterator[Finding]:
    """The rows of `quality.feed_reconciliation` whose figures are not the sums over the hour's deliveries and replays.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    moved = ", ".join(f"delivered.{name} + coalesce(resolved.{name}, 0) as {name}" for name in MOVED_COUNTS)
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
            from {FACT} where {where}
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
