"""Plans the feed hours that have work: compares what is offered, landed and published."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, LONGEST_GAP, aware, contiguous_ranges, floor_hour, hour_range, now_utc
from activity_audit.base.masking import masked_errors
from activity_audit.ingest.landing import changed_offers, open_index
from activity_audit.ingest.misplaced import refuse_misplaced
from activity_audit.ingest.set_aside import SetAside, SetAsides, unlisted
from activity_audit.ingest.sources.bucket import source_at
from activity_audit.ingest.sources.journal import Journal
from activity_audit.ingest.sources.source import Listing, Source, SourceError, own_source
from activity_audit.ingest.sweeps import Reach, Sweeps, list_changes
from activity_audit.ingest.waiting import Waiting
from activity_audit.raw.lake import RawLake, raw_lake
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake

# So many hours may be between two that are tried again for one run to go over both.
_LONGEST_GAP_TRIED = timedelta(days=1)


@dataclass(frozen=True)
class Plan:
    """The half-open ranges of feed hours to run, in order, and what the look at the source found amiss.

    The fingerprint differs whenever another delivery, or another content of one, is behind the plan. `apart` are
    hours that are run by themselves; `again` those that have work only because something of them is set aside.
    """

    ranges: list[tuple[datetime, datetime]]
    warnings: list[str]
    fingerprint: str = ""
    apart: frozenset[datetime] = frozenset()
    again: frozenset[datetime] = frozenset()

    @property
    def hours(self) -> int:
        """How many feed hours the plan covers."""
        return sum(int((end - start) / HOUR) for start, end in self.ranges)


def run_ranges(
    hours: Collection[datetime], apart: Collection[datetime], again: Collection[datetime] = ()
) -> list[tuple[datetime, datetime]]:
    """The hours as ranges to run one after the other.

    Those that are only tried `again` come after what is new, and make no range longer; those that must be `apart` come
    last.
    """
    together = contiguous_ranges(hour for hour in hours if hour not in apart and hour not in again)
    left = {hour for hour in set(hours) & set(again) if not any(start <= hour < end for start, end in together)}
    tried = contiguous_ranges(left - set(apart), _LONGEST_GAP_TRIED)
    return together + tried + [(hour, hour + HOUR) for hour in sorted(set(hours) & set(apart))]


def source_of(settings: Settings) -> Source:
    """The source of feeds that the settings name.

    Raises:
        SourceError: if AUDIT_SOURCE names a class that cannot be had.
    """
    if settings.source == "files":
        return source_at(settings.feed_root, catalogue.slugs(), must_exist=settings.feed_url is not None)
    if settings.source == "cxone":
        from activity_audit.ingest.cxone.source import CxoneSource

        return CxoneSource(settings)
    return own_source(settings)


def own_journal(settings: Settings) -> Journal:
    """The feed that the product itself makes."""
    return Journal(settings.own_feeds_dir, catalogue.OWN_FEED)


@masked_errors(SourceError, lake.WarehouseError)
def plan(settings: Settings, feeds: Collection[str]) -> Plan:
    """Every feed hour with a new or changed delivery, and every closed hour that was passed over.

    Raises:
        SourceError: if the source cannot be listed.
        WarehouseError: if there is a warehouse that cannot be read.
    """
    raw = raw_lake(settings)
    refuse_misplaced(settings, raw)
    index = open_index(raw)
    now = now_utc()
    current = floor_hour(now)
    reach = Reach(settings.lookback, settings.sweep_every)
    sweeps = Sweeps(raw.notes, settings.feed_root)
    listing, offers = list_changes(source_of(settings), index, feeds, now, reach, sweeps)
    journal = own_journal(settings)
    unsealed = journal.unsealed() if catalogue.OWN_FEED in feeds else {}
    if catalogue.OWN_FEED in feeds and settings.own_feeds_dir.is_dir():
        own = journal.source().list([catalogue.OWN_FEED], None)
        listing.unknown += own.unknown
        offers += changed_offers(index, own)
    aside = _set_aside(raw, feeds, listing, now)
    uris, ids = {one.source_uri for one in aside}, {one.delivery_id for one in aside}
    changed = {offer.feed_hour for offer in offers if offer.uri not in uris} | set(unsealed)
    ahead = sorted(hour for hour in changed if hour > current)
    waiting = Waiting(raw)
    hours = {hour for hour in changed if hour <= current}
    try:
        with lake.reader(settings) as connection:
            waiting.look(connection)
            hours |= waiting.hours(feeds, ids)
            hours |= _passed_over(connection, hours, current, set(feeds) & set(settings.expected_feeds))
    except lake.NothingPublishedError:
        hours |= waiting.all_hours(feeds, ids)
    tried = {one.feed_hour for one in aside if one.feed_hour and not one.gone_at}
    tried |= {one.feed_hour for one in listing.unlisted if one.feed_hour and one.feed in feeds}
    again = {hour for hour in tried if hour <= current} - hours
    warnings = [f"no feed is known for {path}; it was not read" for path in listing.unknown] + listing.warnings
    # The others are told of by the runs over their hours.
    warnings += [one.sentence for one in aside if one.feed_hour is None]
    if ahead:
        warnings.append(
            f"{len(ahead)} feed hours lie in the future, the first is {ahead[0]:%Y-%m-%dT%H:00Z}; they are taken "
            "when their hour has begun (or check the clocks)"
        )
    ranges = run_ranges(hours | again, listing.apart, again)
    tokens = sorted(
        [f"{offer.uri} {offer.token}" for offer in offers] + [f"{path} {size}" for path, size in unsealed.values()]
    )
    fingerprint = hashlib.sha256(repr((ranges, tokens)).encode()).hexdigest()
    return Plan(ranges, warnings, fingerprint, frozenset(listing.apart), frozenset(again))


def _set_aside(raw: RawLake, feeds: Collection[str], listing: Listing, at: datetime) -> list[SetAside]:
    """What is set aside of these feeds, after what a look found of folders that are of no feed hour."""
    store = SetAsides(raw)
    found = [one for one in unlisted(listing, feeds, at) if one.feed_hour is None]
    known = store.all(feeds)
    uris = {one.source_uri for one in found}
    done = [one for one in known if one.feed_hour is None and one.source_uri not in uris and listing.is_whole]
    if found or done:
        store.update(found, done)
        known = store.all(feeds)
    return known


def newest_hour(settings: Settings) -> list[tuple[datetime, datetime]]:
    """The newest feed hour that is published, as the only range; none where there is no hour.

    Raises:
        WarehouseError: if the warehouse cannot be read.
    """
    with lake.reader(settings) as connection:
        rows = connection.execute("select max(feed_hour_utc) from quality.feed_reconciliation").fetchall()
    return [(aware(hour), aware(hour) + HOUR) for (hour,) in rows if hour]


def _passed_over(
    connection: duckdb.DuckDBPyConnection, hours: Collection[datetime], current: datetime, expected: Collection[str]
) -> set[datetime]:
    """Closed hours between two known ones in which no run has looked for every expected feed since they closed.

    A feed that delivered nothing in such an hour is missing, and only a run over the hour says so.
    """
    rows = connection.execute(
        """
        with hour as (
            select
                feed_hour_utc,
                count(*) filter (
                    list_contains(?, feed) and reconciled_at_utc >= feed_hour_utc + interval 1 hour
                ) as looked_at
            from quality.feed_reconciliation
            where feed_hour_utc >= (select max(feed_hour_utc) from quality.feed_reconciliation) - to_hours(?)
            group by all
        )
        select feed_hour_utc, looked_at from hour
        """,
        [list(expected), int(LONGEST_GAP / HOUR)],
    ).fetchall()
    known = {aware(hour) for hour, _ in rows} | set(hours)
    looked_at = {aware(hour) for hour, feeds in rows if feeds >= len(expected)}
    return {
        hour
        for start, end in contiguous_ranges(known)
        for hour in hour_range(max(start, end - LONGEST_GAP), min(end, current))
        if hour not in looked_at
    }
