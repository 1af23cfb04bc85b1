"""A long history, written straight into a warehouse: what a year of hourly runs and their compaction would leave.

    python -m benchmarks.history --home DIR [--events 100000000] [--days 365]

The home gets a simulated hour through the product's own pipeline, which makes the tables and views; then the history
is inserted by DuckDB, a day at a time, in the fact's own order, so that each day is one sorted file. People, pairs of
entity and activity, and the hours of the day are the simulator's. Drawn with one seed: the same home each time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, hour_range, naive
from activity_audit.settings.core import Settings, load_settings
from activity_audit.simulator import profiles
from activity_audit.warehouse import known_ids, lake_writer, spill
from activity_audit.warehouse.extensions import connect
from activity_audit.warehouse.key_index import KeyIndex
from activity_audit.warehouse.transactions import snapshot_now, transaction

if TYPE_CHECKING:
    import duckdb

END = datetime(2026, 11, 1, tzinfo=UTC)
_SLOTS = 2000
_FAILURES = 0.03
_NOTED = 0.1
# Each name of the simulator stands for so many people, as a company of some thousand has.
_NAMESAKES = 5
_INSTANCES = 500


def main() -> None:
    """Build the home, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--events", type=int, default=100_000_000)
    parser.add_argument("--days", type=int, default=365)
    options = parser.parse_args()
    started = time.perf_counter()
    build(load_settings(home=options.home), options.events, options.days, progress=True)
    print(f"{options.events:,} events in {time.perf_counter() - started:.0f} s, in {options.home}")


def build(settings: Settings, events: int, days: int, *, progress: bool = False) -> None:
    """Fill an empty home with about so many events on the days before `END`."""

    audit = str(Path(sys.executable).with_name("audit"))
    environment = {**os.environ, "AUDIT_HOME": str(settings.home)}
    end = END + HOUR
    for arguments in (
        ["simulate", "--hours", "1", "--until", end.isoformat(), "--events-per-hour", "2000"],
        ["run", "--from", END.isoformat(), "--to", end.isoformat()],
    ):
        subprocess.run([audit, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
    connection = connect(memory_limit=settings.memory_limit, temp_directory=str(spill.folder(settings)))
    try:
        connection.execute("set preserve_insertion_order = false")
        lake_writer.attach(connection, settings)
        connection.execute("attach ':memory:' as work")
        connection.execute("use work")
        connection.execute("select setseed(0.5)")
        _pools(connection)
        start = END - timedelta(days=days)
        _hours(connection, start, events)
        for first, last in pairwise(_months(start)):
            with transaction(connection, f"history of {first:%Y-%m}", {}, since=snapshot_now(connection)):
                for day in range((last - first).days):
                    _insert_day(connection, naive(first + timedelta(days=day)))
            if progress:
                print(f"{last:%Y-%m-%d}", file=sys.stderr, flush=True)
        with transaction(connection, "history of the feeds", {}, since=snapshot_now(connection)):
            insert_quality(connection)
        known_ids.complete(connection, KeyIndex(settings.key_index_dir))
    finally:
        connection.close()


def _months(start: datetime) -> Iterator[datetime]:
    at = start
    while at < END:
        yield at
        at = (at.replace(day=1) + timedelta(days=32)).replace(day=1)
    yield END


def _pools(connection: duckdb.DuckDBPyConnection) -> None:
    """Who did what in each feed: `_SLOTS` equally likely slots, of which popular things have many."""
    import pyarrow as pa

    kinds, people = [], []
    for slug in catalogue.report_prompt_slugs():
        name = profiles.application(slug).name
        for slot, (entity, activity) in _slots(*profiles.pairs(slug)):
            kinds.append({"feed": slug, "slot": slot, "application": name, "entity": entity, "activity": activity})
        users, weights = profiles.users(slug)
        for slot, user in _slots(users, weights):
            people.append({"feed": slug, "slot": slot, "triggered_by": user})
    connection.register("kinds", pa.Table.from_pylist(kinds))
    connection.register("people", pa.Table.from_pylist(people))
    connection.execute(
        "create table kind as select *, md5(concat_ws(chr(31), lower(application), lower(entity), lower(activity))) "
        "as entity_activity_key from kinds"
    )
    connection.execute("create table person as from people")
    connection.register("notes", pa.table({"comments": [note for note in profiles.COMMENTS if note]}))
    connection.execute("create table note as select row_number() over () as slot, comments from notes")


def _slots(things: tuple, weights: tuple[float, ...]) -> Iterator[tuple[int, object]]:
    place = 0
    for slot in range(_SLOTS):
        while place < len(things) - 1 and weights[place] * _SLOTS <= slot:
            place += 1
        yield slot, things[place]


def _hours(connection: duckdb.DuckDBPyConnection, start: datetime, events: int) -> None:
    """How many events each feed has in each hour."""
    import pyarrow as pa

    rows = [
        (slug, naive(hour), profiles.activity_weight(slug, hour))
        for hour in hour_range(start, END)
        for slug in catalogue.report_prompt_slugs()
    ]
    scale = events / sum(weight for _, _, weight in rows)
    feeds, hours, weights = zip(*rows, strict=True)
    counts = [round(weight * scale) for weight in weights]
    connection.register("hours", pa.table({"feed": feeds, "feed_hour_utc": hours, "n": counts}))
    connection.execute("create table feed_hour as from hours")


def _insert_day(connection: duckdb.DuckDBPyConnection, day: datetime) -> None:
    connection.execute(
        f"""
        create or replace temp table drawn as
        select
            feed, feed_hour_utc, source_record,
            feed_hour_utc + to_milliseconds(cast(floor(random() * 3600000) as bigint)) as event_time_utc,
            cast(floor(random() * {_SLOTS}) as integer) as kind_slot,
            cast(floor(random() * {_SLOTS}) as integer) as person_slot,
            cast(floor(random() * {_NAMESAKES}) as integer) as namesake,
            cast(floor(pow(random(), 3) * {_INSTANCES}) as integer) as instance_slot,
            cast(floor(random() * {len(profiles.COMMENTS)} / {_NOTED}) as integer) as note_slot,
            if(random() < {_FAILURES}, 'FAILURE', 'SUCCESS') as outcome
        from (
            select feed, feed_hour_utc, unnest(range(1, n + 1)) as source_record
            from feed_hour where feed_hour_utc >= $day and feed_hour_utc < $day + interval 1 day
        )
        """,
        {"day": day},
    )
    connection.execute("""
        insert into audit.main.fact_activity_event by name
        select
            cast(uuid() as varchar) as event_id,
            event_time_utc,
            date_trunc('hour', event_time_utc) as event_hour_utc,
            kind.application, kind.entity, kind.activity, kind.entity_activity_key,
            regexp_replace(
                md5(feed || cast(feed_hour_utc as date) || instance_slot),
                '^(.{8})(.{4})(.{4})(.{4})(.{12})$', '\\1-\\2-\\3-\\4-\\5'
            ) as instance,
            if(namesake = 0, person.triggered_by, replace(person.triggered_by, '@', namesake || '@')) as triggered_by,
            note.comments,
            drawn.outcome,
            strftime(event_time_utc, '%Y-%m-%dT%H:%M:%S.%gZ') as event_time_source,
            feed,
            feed_hour_utc,
            'file:///feeds/' || feed || strftime(feed_hour_utc, '/%Y-%m-%d/%H') || '/events.ndjson' as source_uri,
            source_record,
            feed_hour_utc + interval 70 minutes as ingested_at_utc,
            strftime(feed_hour_utc, '00000000-0000-4000-8000-00%Y%m%d%H') as run_id
        from drawn
        inner join kind using (feed)
        inner join person using (feed)
        left join note on drawn.note_slot = note.slot
        where kind.slot = kind_slot and person.slot = person_slot
        order by event_time_utc, event_id
    """)
    connection.execute(
        """
        insert into audit.main.agg_activity_hourly by name
        select feed_hour_utc as event_hour_utc, application, entity, activity, outcome, count(*) as event_count
        from drawn inner join kind on drawn.feed = kind.feed and drawn.kind_slot = kind.slot
        group by all order by event_hour_utc
        """
    )


def insert_quality(connection: duckdb.DuckDBPyConnection) -> None:
    """A delivery of each feed in each hour, balanced, and the runs that brought them."""
    run_id = "strftime(feed_hour_utc, '00000000-0000-4000-8000-00%Y%m%d%H')"
    began = "feed_hour_utc + interval 70 minutes"
    uri = "'file:///feeds/' || feed || strftime(feed_hour_utc, '/%Y-%m-%d/%H') || '/events.ndjson'"
    nothing = "0 as duplicate, 0 as quarantined, 0 as offset_normalised, 0 as late"
    connection.execute(f"""
        insert into audit.quality.feed_reconciliation by name
        select
            feed, feed_hour_utc, n as declared, n as received, n as accepted, {nothing}, 'balanced' as status,
            1 as files, n * 300 as bytes, sha256(feed || feed_hour_utc) as sha256, 0 as undeclared_files,
            {began} as reconciled_at_utc, {run_id} as run_id
        from feed_hour order by feed_hour_utc, feed
    """)
    connection.execute(f"""
        insert into audit.quality.feed_delivery by name
        select
            sha256(feed || feed_hour_utc) as delivery_id, feed, feed_hour_utc, 'events.ndjson' as name,
            {uri} as source_uri, sha256(feed || feed_hour_utc) as sha256, n * 300 as bytes, {began} as landed_at_utc,
            n as received, n as accepted, {nothing}, 0 as foreign_application, 0 as undocumented, {run_id} as run_id,
            sha256('raw' || feed || feed_hour_utc) as raw_sha256
        from feed_hour order by feed_hour_utc, feed
    """)
    connection.execute(f"""
        insert into audit.quality.pipeline_run by name
        select
            {run_id} as run_id, {began} as started_at_utc, feed_hour_utc as from_hour_utc,
            feed_hour_utc + interval 1 hour as to_hour_utc, count(*) as deliveries, sum(n) as received,
            sum(n) as accepted, 0 as duplicate, 0 as quarantined
        from feed_hour group by feed_hour_utc
    """)
    connection.execute(f"""
        insert into audit.quality.validation_result by name
        select result.* replace ({run_id} as run_id, {began} as validated_at_utc)
        from audit.quality.validation_result as result, (select distinct feed_hour_utc from feed_hour)
    """)


if __name__ == "__main__":
    main()
