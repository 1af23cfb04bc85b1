"""How much of a bucket each look lists: recent hours always, and all of the bucket once a day, in a sweep.

A folder of this machine is cheap to list, and is listed whole each time, one feed after the other. A bucket costs a
request for every thousand objects, so of its feeds only the hours are listed in which something new is likely, and a
sweep over everything finds what came late for an older hour. When each feed was swept last is kept between processes in
a small note. If that is lost, the next look lists everything: nothing depends on it but the number of requests.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from activity_audit.base.hours import iso, parse_time
from activity_audit.ingest.landing import changed_offers
from activity_audit.ingest.sources.bucket import BucketSource, Span
from activity_audit.ingest.sources.files import FileSource
from activity_audit.ingest.sources.source import Listing, Offer, Source
from activity_audit.raw.files import SWEEPS
from activity_audit.raw.index import RawIndex
from activity_audit.raw.notes import Notes


@dataclass(frozen=True)
class Sweep:
    """When a feed was last listed whole, and the oldest feed hour in which something was left to land."""

    swept_at: datetime
    open_from: datetime | None = None


class Sweeps:
    """The sweeps of the feeds below `url`, in a note of the raw lake; several processes may use it at once."""

    def __init__(self, notes: Notes, url: str) -> None:
        self._notes = notes
        self._url = url

    def read(self) -> dict[str, Sweep]:
        """What is known, by feed; nothing where the note is lost, damaged, or about another URL."""
        return self._known(self._notes.read(SWEEPS))

    def update(self, found: Mapping[str, Sweep]) -> None:
        """Keep what a look found about these feeds.

        Raises:
            OSError: if the note cannot be written.
        """
        if found.items() <= self.read().items():
            return

        def with_found(known: str | None) -> str:
            feeds = {feed: _times(sweep) for feed, sweep in sorted((self._known(known) | dict(found)).items())}
            return json.dumps({"url": self._url, "feeds": feeds}, indent=1)

        self._notes.update(SWEEPS, with_found)

    def _known(self, text: str | None) -> dict[str, Sweep]:
        try:
            kept = json.loads(text or "{}")
            if kept["url"] != self._url:
                return {}
            return {feed: _sweep(*times) for feed, times in kept["feeds"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {}


def _sweep(swept_at: str, open_from: str | None) -> Sweep:
    return Sweep(parse_time(swept_at), None if open_from is None else parse_time(open_from))


def _times(sweep: Sweep) -> tuple[str, str | None]:
    return iso(sweep.swept_at), None if sweep.open_from is None else iso(sweep.open_from)


@dataclass(frozen=True)
class Reach:
    """How far a look goes: hours within `lookback` of now always, all of them once in `sweep_every`."""

    lookback: timedelta
    sweep_every: timedelta


def list_changes(
    source: Source, index: RawIndex, feeds: Collection[str], now: datetime, reach: Reach, sweeps: Sweeps
) -> tuple[Listing, list[Offer]]:
    """What a look at the source found for these feeds, and the offers that are new or may have changed.

    Raises:
        SourceError: if the source cannot be listed.
    """
    if isinstance(source, FileSource):
        return _changes_by_feed(source, index, feeds)
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


def _changes_by_feed(source: FileSource, index: RawIndex, feeds: Collection[str]) -> tuple[Listing, list[Offer]]:
    """What is in a folder, without the offers, and those that are new or may have changed: nearly all are neither."""
    found = Listing()
    offers: list[Offer] = []
    for part in source.list_by_feed(feeds, None):
        offers += changed_offers(index, part)
        found.add(part, offers=False)
    return found, offers


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
