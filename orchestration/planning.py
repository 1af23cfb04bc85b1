"""Which feed hours have work to do, told from what the source offers, what is landed, and what is published."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from orchestration import catalogue, lake
from orchestration.feeds.bucket import source_at
from orchestration.feeds.landing import changed_offers, open_index
from orchestration.feeds.own_source import own_source
from orchestration.feeds.raw_files import SWEEPS
from orchestration.feeds.source import Source, SourceError
from orchestration.feeds.spool import Spool
from orchestration.feeds.survey import Reach, survey
from orchestration.feeds.sweeps import Sweeps
from orchestration.hours import HOUR, LONGEST_GAP, aware, contiguous_ranges, floor_hour, hour_range, now_utc
from orchestration.masking import masked_errors
from orchestration.settings import Settings

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Plan:
    """The half-open ranges of feed hours to run, in order, and what the look at the source found amiss.

    The fingerprint differs whenever another delivery, or another content of one, is behind the plan. `apart` are
    hours that are run by themselves.
    """

    ranges: list[tuple[datetime, datetime]]
    warnings: list[str]
    fingerprint: str = ""
    apart: frozenset[datetime] = frozenset()

    @property
    def hours(self) -> int:
        """How many feed hours the plan covers."""
        return sum(int((end - start) / HOUR) for start, end in self.ranges)


def run_ranges(hours: Collection[datetime], apart: Collection[datetime]) -> list[tuple[datetime, datetime]]:
    """The hours as ranges to run one after the other; those that must be apart come last."""
    together = contiguous_ranges(hour for hour in hours if hour not in apart)
    return together + [(hour, hour + HOUR) for hour in sorted(set(hours) & set(apart))]


def source_of(settings: Settings) -> Source:
    """The source of feeds that the settings name.

    Raises:
        SourceError: if AUDIT_SOURCE names a class that cannot be had.
    """
    if settings.source == "files":
        return source_at(settings.feed_root, catalogue.slugs(), must_exist=settings.feed_url is not None)
    if settings.source == "cxone":
        from orchestration.feeds.cxone.source import CxoneSource

        return CxoneSource(settings)
    return own_source(settings)


def own_spool(settings: Settings) -> Spool:
    """The feed that the product itself makes."""
    return Spool(settings.own_feeds_dir, catalogue.OWN_FEED)


@masked_errors(SourceError, lake.WarehouseError)
def plan(settings: Settings, feeds: Collection[str]) -> Plan:
    """Every feed hour with a new or changed delivery, and every closed hour that was passed over.

    Raises:
        SourceError: if the source cannot be listed.
        WarehouseError: if there is a warehouse that cannot be read.
    """
    index = open_index(settings.raw_dir)
    now = now_utc()
    current = floor_hour(now)
    reach = Reach(settings.lookback, settings.sweep_every)
    sweeps = Sweeps(settings.raw_dir / SWEEPS, settings.feed_root)
    listing, offers = survey(source_of(settings), index, feeds, now, reach, sweeps)
    spool = own_spool(settings)
    unsealed = spool.unsealed() if catalogue.OWN_FEED in feeds else {}
    if catalogue.OWN_FEED in feeds and settings.own_feeds_dir.is_dir():
        own = spool.source().list([catalogue.OWN_FEED], None)
        listing.unknown += own.unknown
        offers += changed_offers(index, own)
    changed = {offer.feed_hour for offer in offers} | set(unsealed)
    ahead = sorted(hour for hour in changed if hour > current)
    landed = {delivery.delivery_id: delivery.feed_hour for delivery in index.deliveries(feeds)}
    hours = {hour for hour in changed if hour <= current}
    try:
        with lake.reader(settings) as connection:
            hours |= {landed[delivery] for delivery in unpublished(connection, landed)}
            hours |= _passed_over(connection, hours, current, set(feeds) & set(settings.expected_feeds))
    except lake.NothingPublishedError:
        hours |= set(landed.values())
    warnings = [f"no feed is known for {path}; it was not read" for path in listing.unknown] + listing.warnings
    if ahead:
        warnings.append(
            f"{len(ahead)} feed hours lie in the future, the first is {ahead[0]:%Y-%m-%dT%H:00Z}; they are taken "
            "when their hour has begun (or check the clocks)"
        )
    ranges = run_ranges(hours, listing.apart)
    tokens = sorted(
        [f"{offer.uri} {offer.token}" for offer in offers] + [f"{path} {size}" for path, size in unsealed.values()]
    )
    fingerprint = hashlib.sha256(repr((ranges, tokens)).encode()).hexdigest()
    return Plan(ranges, warnings, fingerprint, frozenset(listing.apart))


def unpublished(connection: duckdb.DuckDBPyConnection, landed: Iterable[str]) -> set[str]:
    """Those of the landed deliveries (ids) that are not in the warehouse, as after a run that was killed."""
    published = connection.execute("select delivery_id from quality.feed_delivery").fetchall()
    return set(landed) - {row[0] for row in published}


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
            from quality.feed_reconciliation group by all
        )
        select feed_hour_utc, looked_at
        from hour where feed_hour_utc >= (select max(feed_hour_utc) from hour) - to_hours(?)
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
