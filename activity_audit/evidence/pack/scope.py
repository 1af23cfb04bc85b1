"""The scope of a pack: the feed hours whose batches it must account for, and the runs that published them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb

from activity_audit.base import catalogue
from activity_audit.base.hours import aware, ceil_hour, contiguous_ranges, floor_hour, naive
from activity_audit.base.vocabulary import FACT
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import HOLD
from activity_audit.warehouse.events.filters import Filters

# Temporary tables of the connection that a pack is written with.
FEED_HOURS, RUNS = "pack_feed_hour", "pack_run"
IN_SCOPE = f"semi join {FEED_HOURS} using (feed, feed_hour_utc)"
# Hours that are checked in one go, although they are so far apart: a look at the raw lake costs more than an hour does.
_GAP = timedelta(days=1)


def feeds_of(applications: Sequence[object]) -> list[str]:
    """The feeds in which these applications deliver; of one that has none of its own, that of unattributed events."""
    from activity_audit.ingest.cxone.reading import UNATTRIBUTED

    return sorted({catalogue.slug_of(str(name or "")) or UNATTRIBUTED for name in applications})


def choose(connection: duckdb.DuckDBPyConnection, filters: Filters) -> None:
    """Note the feed hours that a pack is about, and their runs, in temporary tables of the connection.

    These are all feed hours of the period, of the feeds of the chosen applications, and every other one that a chosen
    event came from.
    """
    where, values = filters.where()
    feeds = feeds_of(filters.applications)
    period = [naive(floor_hour(filters.start)), naive(ceil_hour(filters.end))]
    known = " union all ".join(
        f"select feed, feed_hour_utc from audit.quality.{table}"
        for table in ("feed_reconciliation", "feed_delivery", f"integrity_ledger where kind <> '{HOLD}'")
    )
    of_feeds = f"feed in ({', '.join('?' * len(feeds))})" if feeds else "true"
    connection.execute(
        f"""
        create temp table {FEED_HOURS} as
        with
        chosen as (
            select feed, feed_hour_utc, count(*) as events from {FACT}
            where {where} group by all
        ),
        of_period as (
            select distinct feed, feed_hour_utc from ({known})
            where feed_hour_utc >= ? and feed_hour_utc < ? and {of_feeds}
        )
        select
            feed, feed_hour_utc, of_period.feed is not null as is_in_period,
            cast(coalesce(chosen.events, 0) as bigint) as events
        from of_period full join chosen using (feed, feed_hour_utc)
        """,
        [*values, *period, *feeds],
    )
    connection.execute(f"""
        create temp table {RUNS} as
        select run_id from audit.{ledger.TABLE} {IN_SCOPE}
        union
        select run_id from audit.quality.feed_reconciliation {IN_SCOPE}
    """)


def windows(connection: duckdb.DuckDBPyConnection) -> list[tuple[datetime, datetime]]:
    """The feed hours of the pack as half-open ranges, aware, UTC, in order; a gap of a day at most is bridged."""
    hours = connection.execute(f"select distinct feed_hour_utc from {FEED_HOURS}").fetchall()
    return contiguous_ranges((aware(hour) for (hour,) in hours), _GAP)
