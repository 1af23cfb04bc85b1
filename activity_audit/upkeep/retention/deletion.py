"""The deletion of what is past its retention: from the warehouse first, then from the raw lake.

In the warehouse it is one transaction, with an entry in the ledger for each batch. Of a data file that has rows to
delete, the others are written again and the file is ended whole. A delete file, as DuckLake writes by itself, would
leave the rows in the file for ever; so they are gone from the disk when the snapshots before the deletion have expired.

In the raw lake all that was ever deleted is looked at: what a killed upkeep left, or what was landed again because the
index was lost, goes with the next one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import duckdb

from activity_audit.base.catalogue import slugs
from activity_audit.base.hours import HOUR, HOUR_FOLDER, aware, naive
from activity_audit.base.vocabulary import FACT
from activity_audit.evidence.verify import published_deliveries
from activity_audit.ingest.scratch import in_use
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import DELETION, append
from activity_audit.ledger.holds import HoldRow, rows_of, standing
from activity_audit.ledger.ledger import deleted_files
from activity_audit.raw.files import PAGES, found_deliveries, manifest_hash_shown
from activity_audit.raw.index import LandedDelivery, raw_path
from activity_audit.raw.lake import RawLake
from activity_audit.raw.store import RawStore
from activity_audit.upkeep.retention.plan import DueBatch
from activity_audit.warehouse import arrow_rows, known_ids, observed_names
from activity_audit.warehouse.known_ids import TABLE as KEYS
from activity_audit.warehouse.known_ids import rows_of_fact
from activity_audit.warehouse.transactions import transaction

_ORDER = {
    FACT: "event_time_utc, event_id",
    KEYS: "event_id_key",
    "audit.quality.quarantined_event": "feed_hour_utc, feed, source_uri, source_record",
    "audit.quality.vanished_event": "feed_hour_utc, event_id",
}
_BATCH = "(feed, feed_hour_utc, run_id) in (select feed, feed_hour_utc, run_id from work.main.due_batch)"
_HOUR = "(feed, feed_hour_utc) in (select feed, feed_hour_utc from work.main.due_batch)"
_TOUCHED = "event_hour_utc in (select event_hour_utc from work.main.touched_agg_activity_hourly)"
# Where it is not the batches' rows that go: a row of quality.vanished_event is of a feed hour, and of the run that
# changed it last; a key does not say which batch it is of, so those of a whole event hour are made anew.
_GONE = {"audit.quality.vanished_event": _HOUR, KEYS: _TOUCHED}
_GROUP = "event_hour_utc, application, entity, activity, outcome"
FeedHour = tuple[str, datetime]


def delete(
    connection: duckdb.DuckDBPyConnection, due: Sequence[DueBatch], run_id: str, now: datetime, since: int | None
) -> None:
    """Delete what these batches added to the warehouse, and record that it was; `now` is a plain UTC timestamp.

    They were found in the snapshot `since`. The connection has `work` and `audit` attached, and the caller holds the
    run lock. For errors see `transaction`.
    """
    _stage_batches(connection, due, run_id, now)
    _stage_aggregate(connection)
    rewritten = [_stage_rest(connection, number, table) for number, table in enumerate(_ORDER)]
    observed_names.stage_rest(connection)
    _stage_dimension(connection)
    entries = append(ledger.newest(connection), DELETION, [batch.digest for batch in due], now)
    with transaction(connection, run_id, {"deleted_batches": len(due)}, since=since):
        for table, staged, files in rewritten:
            if files:
                connection.execute(f"delete from {table} where filename in (select unnest(?))", [files])
                connection.execute(f"insert into {table} by name from {staged} order by {_ORDER[table]}")
        known_ids.record(connection)
        for table, key in (("agg_activity_hourly", "event_hour_utc"), ("dim_entity_activity", "entity_activity_key")):
            connection.execute(
                f"delete from audit.main.{table} where {key} in (select {key} from work.main.touched_{table})"
            )
            connection.execute(f"insert into audit.main.{table} by name from work.main.rest_{table}")
        observed_names.replace(connection)
        connection.execute(f"update audit.quality.feed_reconciliation set deleted_at_utc = ? where {_HOUR}", [now])
        connection.execute(
            "insert into audit.quality.deletion by name from work.main.due_batch order by feed_hour_utc, feed, run_id"
        )
        ledger.insert(connection, f"audit.{ledger.TABLE}", entries)


def _stage_batches(connection: duckdb.DuckDBPyConnection, due: Sequence[DueBatch], run_id: str, now: datetime) -> None:
    """The rows of `quality.deletion`, in `work.main.due_batch`."""
    names = (
        "feed", "feed_hour_utc", "run_id", "deliveries", "events", "quarantined", "raw_files", "bytes", "retention",
        "deleted_at_utc", "maintain_run_id",
    )  # fmt: skip
    rows = [
        (*batch.digest.key, batch.digest.deliveries, batch.digest.accepted, batch.quarantined, batch.raw_files,
         batch.bytes, batch.retention, now, run_id)
        for batch in due
    ]  # fmt: skip
    arrow_rows.create(connection, "work.main.due_batch", names, rows)


def _stage_rest(connection: duckdb.DuckDBPyConnection, number: int, table: str) -> tuple[str, str, list[str]]:
    """What stays of the data files that have rows to delete: the table, where its rows are staged, and the files."""
    gone = _GONE.get(table, _BATCH)
    staged = f"work.main.rest_{number}"
    rows = connection.execute(f"select distinct filename from {table} where {gone}").fetchall()
    files = [row[0] for row in rows]
    connection.execute(
        f"create or replace table {staged} as from {table} where filename in (select unnest(?)) and not {gone}",
        [files],
    )
    if table == KEYS:
        connection.execute(f"insert into {staged} by name {rows_of_fact(f'{_TOUCHED} and not {_BATCH}')}")
    return table, staged, files


def _stage_aggregate(connection: duckdb.DuckDBPyConnection) -> None:
    """The rows of `agg_activity_hourly` for every event hour that loses events."""
    connection.execute(
        f"create or replace table work.main.touched_agg_activity_hourly as "
        f"select {_GROUP}, count(*) as gone from {FACT} where {_BATCH} group by all"
    )
    connection.execute(f"""
        create or replace table work.main.rest_agg_activity_hourly as
        select {_GROUP}, event_count - coalesce(gone, 0) as event_count
        from audit.main.agg_activity_hourly
        left join work.main.touched_agg_activity_hourly using ({_GROUP})
        where event_hour_utc in (select event_hour_utc from work.main.touched_agg_activity_hourly)
        and event_count > coalesce(gone, 0)
    """)


def _stage_dimension(connection: duckdb.DuckDBPyConnection) -> None:
    """The rows of `dim_entity_activity` for every key that loses events, counted anew from the events that stay."""
    connection.execute(
        "create or replace table work.main.touched_dim_entity_activity as "
        f"select distinct entity_activity_key from {FACT} where {_BATCH}"
        # With other numbers of events another spelling may be the most frequent, of keys too that lose none.
        f" union select entity_activity_key from ({observed_names.relabelled()})"
    )
    names = observed_names.FIELDS
    connection.execute(f"""
        create or replace table work.main.rest_dim_entity_activity as
        with staying as (
            select
                entity_activity_key, min(event_time_utc) as first_seen_utc,
                max(event_time_utc) as last_seen_utc, count(*) as event_count
            from {FACT}
            where entity_activity_key in (from work.main.touched_dim_entity_activity) and not {_BATCH}
            group by all
        )
        select dim.* replace (
            {", ".join(f"coalesce(labelled.{name}, dim.{name}) as {name}" for name in names)},
            staying.first_seen_utc as first_seen_utc, staying.last_seen_utc as last_seen_utc,
            coalesce(staying.event_count, 0) as event_count
        )
        from audit.main.dim_entity_activity as dim
        left join staying using (entity_activity_key)
        left join ({observed_names.relabelled()}) as labelled using (entity_activity_key)
        where entity_activity_key in (from work.main.touched_dim_entity_activity)
        and (is_documented or staying.event_count > 0)
    """)


def of_deleted(connection: duckdb.DuckDBPyConnection, raw: RawLake) -> list[str]:
    """The files that are there of deleted batches, of feed hours of which nothing else is left, and of no held hour.

    Raw files, manifests, and the pages of an hour of which every feed's part is deleted.
    """
    if not (ledger.is_there(connection) and raw.store.is_there()):
        return []
    query = f"select min(feed_hour_utc), max(feed_hour_utc) from audit.{ledger.TABLE} where kind = '{DELETION}'"
    ((first, last),) = connection.execute(query).fetchall()
    if first is None:
        return []
    holds = standing(rows_of(connection))
    folders = [*raw.store.folders(), *(f"{PAGES}/{source}" for source in raw.store.folders(PAGES))]
    days = {folder: set(raw.store.folders(folder)) for folder in folders}
    lost = None if raw.index.is_complete() else found_deliveries(raw.store)
    found: list[str] = []
    # Of all that was ever deleted only a slice of feed hours is in memory.
    for start, end in published_deliveries.parts(connection, (first, last + HOUR)):
        window = (aware(start or first), aware(end or last + HOUR))
        if files := deleted_files(connection, window):
            landed = raw.index.deliveries(slugs(), window) if lost is None else lost
            found += _of_slice(files, landed, raw.store, days, holds)
    return found


def _of_slice(
    files: Iterable[tuple[str, datetime, str]],
    deliveries: Iterable[LandedDelivery],
    store: RawStore,
    days: Mapping[str, Collection[str]],
    holds: Collection[HoldRow],
) -> list[str]:
    """What is there of these files of deleted batches.

    The deliveries are all that are landed of their feed hours. `days` are those that each folder of the raw lake has:
    that of a feed, or that of a source's pages.
    """
    deleted: dict[FeedHour, set[str]] = defaultdict(set)
    for feed, hour, delivery in files:
        if not any(hold.covers(feed, hour) for hold in holds):
            deleted[feed, hour].add(delivery)
    landed: dict[FeedHour, set[str]] = defaultdict(set)
    for one in deliveries:
        landed[one.feed, naive(one.feed_hour)].add(one.delivery_id)
    whole = {hour for hour, ids in deleted.items() if landed[hour] <= ids}
    found = []
    for (feed, hour), ids in deleted.items():
        if f"{hour:%Y-%m-%d}" not in days.get(feed, ()):
            continue
        there = store.names_in(f"{feed}/{hour:{HOUR_FOLDER}}")
        found += sorted({raw_path(feed, hour, delivery) for delivery in ids}.intersection(there))
        if (feed, hour) in whole:
            found += [name for name in there if manifest_hash_shown(name)]
    unfinished = {hour for feed, hour in landed.keys() - whole}
    return found + list(_pages(store, days, {hour for _, hour in whole} - unfinished, holds))


def remove(files: Collection[str], raw: RawLake) -> None:
    """Remove these files, and the folders that are empty then, unless something is being landed.

    Raises:
        OSError: if one cannot be removed.
    """
    raw.store.delete(files)
    # A landing pass may just have made a folder for its next file.
    if not in_use(raw):
        raw.store.remove_empty_folders(files)


def _pages(
    store: RawStore, days: Mapping[str, Collection[str]], hours: Collection[datetime], holds: Collection[HoldRow]
) -> Iterator[str]:
    """The pages of these hours. The mark that an hour is sealed stays, so that it is not asked for again."""
    for source in sorted(folder for folder in days if folder.startswith(f"{PAGES}/")):
        for hour in sorted(hours):
            is_held = any(hold.covers(feed, hour) for hold in holds for feed in slugs())
            if is_held or f"{hour:%Y-%m-%d}" not in days[source]:
                continue
            for name in store.names_in(f"{source}/{hour:{HOUR_FOLDER}}"):
                if name.endswith(".parquet") and not name.rpartition("/")[2].startswith("."):
                    yield name
