"""How much of a bucket each look at it lists: what is recent always, and everything now and then.

A folder of this machine is cheap to list, and is listed whole each time. A bucket costs a request for every thousand
objects, so of its feeds only the hours are listed in which something new is likely, and a sweep over everything finds
what came late for an older hour.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from activity_audit.ingest.landing import changed_offers
from activity_audit.ingest.sources.bucket import BucketSource, Span
from activity_audit.ingest.sources.source import Listing, Offer, Source
from activity_audit.ingest.sweeps import Sweep, Sweeps
from activity_audit.raw.index import RawIndex


@dataclass(frozen=True)
class Reach:
    """How far a look goes: hours within `lookback` of now always, all of them once in `sweep_every`."""

    lookback: timedelta
    sweep_every: timedelta


def survey(
    source: Source, index: RawIndex, feeds: Collection[str], now: datetime, reach: Reach, sweeps: Sweeps
) -> tuple[Listing, list[Offer]]:
    """What the source is seen to offer for these feeds, and the offers among it that are new or may have changed.

    Raises:
        SourceError: if the source cannot be listed.
    """
    if not isinstance(source, BucketSource):
        listing = source.list(feeds, None)
        return listing, changed_offers(index, listing)
    known = sweeps.read()
    newest = index.newest_hours(feeds)
    spans: dict[str, Span] = {
        feed: (begin(known.get(feed), newest.get(feed), now, reach), None) for feed in sorted(feeds)
    }
    listing = source.list_spans(spans)
    offers = changed_offers(index, listing)
    sweeps.update(
        {feed: after(known.get(feed), [o for o in offers if o.feed == feed], now, reach) for feed in spans}
    )  # fmt: skip
    return listing, offers


def begin(sweep: Sweep | None, newest: datetime | None, now: datetime, reach: Reach) -> datetime | None:
    """The first feed hour to list of a feed, or None for all its hours; `newest` is the newest that is landed.

    It goes back to the newest landed hour, so that a feed that was silent or was not looked at for long is taken up
    where it ended, and to the oldest hour that an earlier look found work in and that is not landed yet.
    """
    if sweep is None or newest is None or _is_due(sweep, now, reach):
        return None
    earliest = min(now - reach.lookback, newest, *([sweep.open_from] if sweep.open_from else []))
    return earliest.replace(hour=0, minute=0, second=0, microsecond=0)


def after(sweep: Sweep | None, offers: Collection[Offer], now: datetime, reach: Reach) -> Sweep:
    """What is known of a feed after a look that found these changed offers, from what was known before it."""
    # The usual look reaches all others anyway.
    old = [offer.feed_hour for offer in offers if offer.feed_hour < now - reach.lookback]
    swept_at = now if sweep is None or _is_due(sweep, now, reach) else sweep.swept_at
    return Sweep(swept_at, min(old, default=None))


def _is_due(sweep: Sweep, now: datetime, reach: Reach) -> bool:
    """Whether a feed is to be swept; also where the clock went back, which says nothing about how long ago it was."""
    return not timedelta(0) <= now - sweep.swept_at < reach.sweep_every
