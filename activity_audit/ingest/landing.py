"""Landing: each delivery becomes one immutable Parquet file of the raw lake, every record as it came.

A file appears under its final name only when it is whole, and the name follows from the delivery's content,
so that landing may be killed and repeated at any point. No warehouse lock is held here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from activity_audit.base.delivery_limits import DEFAULT, Limits
from activity_audit.base.hours import HOUR, now_utc
from activity_audit.ingest.landing_pass import Failed, Landed, LandingPass, publish_all
from activity_audit.ingest.scratch import scratch
from activity_audit.ingest.set_aside import SetAside, SetAsides, settled, unlisted
from activity_audit.ingest.set_aside import failed as failed_offer
from activity_audit.ingest.sources.source import (
    Listing,
    Offer,
    PassFollower,
    Source,
    SourceError,
    SourceRefusedError,
    every_offer,
)
from activity_audit.raw.files import delivery_in, found_deliveries, found_manifests, manifest_hash_shown, manifest_in
from activity_audit.raw.index import LandedDelivery, LandedManifest, RawIndex
from activity_audit.raw.lake import RawLake
from activity_audit.raw.store import Writer

# So many files, or so many delivered bytes, are given their names and recorded at a time.
_TOGETHER = 1_000
_TOGETHER_BYTES = 64 << 20
_THREADS = 2
# The smallest difference between two times.
_TICK = timedelta(microseconds=1)
_SHOWN = 5


@dataclass
class LandingReport:
    """What a landing pass did."""

    new: list[LandedDelivery] = field(default_factory=list)
    new_manifests: list[LandedManifest] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)
    source_warnings: list[str] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """What an operator should look at, one sentence each."""
        return (
            [f"no feed is known for {path}; it was not read" for path in self.unknown]
            + [f"{uri} changed or went away while it was read; the next run takes it" for uri in self.deferred]
            + self.source_warnings
            + [one.sentence for one in self.set_aside]
        )


def changed_offers(index: RawIndex, listing: Listing) -> list[Offer]:
    """The offers that are new, or may have changed since they were last landed."""
    tokens = index.tokens([offer.uri for offer in listing.offers])
    return [offer for offer in every_offer(listing) if tokens.get(offer.uri) != offer.token]


def land(
    source: Source,
    raw: RawLake,
    *,
    feeds: Collection[str],
    window: tuple[datetime, datetime] | None,
    landed_at: datetime,
    max_record_bytes: int,
    limits: Limits = DEFAULT,
    is_elsewhere: Callable[[str], bool] = lambda _: False,
    on_progress: Callable[[int, int], None] | None = None,
) -> LandingReport:
    """Bring every new or changed delivery of these feeds and feed hours into the raw lake.

    What cannot be read is set aside, and the others are landed. `is_elsewhere` tells of a source URI whether it is
    another source's. `on_progress(done, total)` is called as deliveries are landed.

    Raises:
        SourceError: if the source cannot be listed, or nothing that it offers can be read.
    """
    index = open_index(raw)
    listing = source.list(feeds, window)
    offers = changed_offers(index, listing)
    landed_at = _later(index, offers, landed_at)
    report = LandingReport(unknown=listing.unknown, source_warnings=listing.warnings)
    failed: list[Failed] = []
    follower = source if isinstance(source, PassFollower) else None
    if raw.is_shared:
        _adopt_expected(raw)
    with scratch(raw.space, lambda: _adopt(raw)) as folder, raw.store.writing() as writer:
        manifests = {(found.feed, found.feed_hour): found for found in index.manifests(feeds, window)}
        newest = _newest_deliveries(index, [offer for offer in offers if offer.is_reading])
        work = LandingPass(source, raw.store, folder, manifests, newest, landed_at, max_record_bytes, limits)
        if follower:
            follower.prepare(offers, folder)
        pending: list[Landed] = []
        pending_bytes = 0
        pool = ThreadPoolExecutor(max_workers=_THREADS)
        try:
            for done, (offer, result) in enumerate(zip(offers, pool.map(work.land, offers), strict=True), 1):
                if isinstance(result, Failed):
                    failed.append(result)
                elif result is None:
                    report.deferred.append(offer.uri)
                else:
                    pending.append(result)
                    pending_bytes += result.delivery.bytes if result.delivery else 0
                    pending_bytes += len(result.manifest.content) if result.manifest else 0
                if len(pending) >= _TOGETHER or pending_bytes >= _TOGETHER_BYTES:
                    together, pending, pending_bytes = pending, [], 0
                    _record(raw, _publish(raw, together, writer), writer, landed_at, report, follower)
                if on_progress:
                    on_progress(done, len(offers))
        finally:
            if follower:
                follower.stop()
            pool.shutdown(cancel_futures=True)
            _record(raw, _publish(raw, pending, writer), writer, landed_at, report, follower)
    found = unlisted(listing, feeds, landed_at)
    found += [failed_offer(failure.offer, str(failure.error), landed_at) for failure in failed]
    aside = SetAsides(raw)
    known = [one for one in aside.all(feeds, window) if not is_elsewhere(one.source_uri)]
    before = {one.source_uri for one in known}
    outage = [
        failure.error
        for failure in failed
        if isinstance(failure.error, SourceError) and failure.offer.uri not in before
    ]
    if outage and len(failed) + len(report.deferred) == len(offers):
        raise _joined(outage)

    def is_newest(one: SetAside) -> bool:
        return one.feed_hour is not None and one.delivery_id == index.newest(one.feed, one.feed_hour, one.source_uri)

    kept, over = settled(known, found, listing, report.deferred, is_newest, landed_at)
    if kept or over:
        aside.update(kept, over)
    report.set_aside = found
    return report


def _later(index: RawIndex, offers: Collection[Offer], now: datetime) -> datetime:
    """When these are landed: now, and after all that is landed of their feed hours, if the clock was set back since.

    Of several manifests or readings of a feed hour, the one that was landed last counts.
    """
    last = index.last_landing({offer.feed_hour for offer in offers})
    return now if last is None or last <= now else last + _TICK


def _joined(errors: list[SourceError]) -> SourceError:
    """One error that says what all of them say."""
    messages = list(dict.fromkeys(map(str, errors)))
    more = f"; and {len(messages) - _SHOWN} more" if len(messages) > _SHOWN else ""
    kind = SourceRefusedError if all(isinstance(error, SourceRefusedError) for error in errors) else SourceError
    return kind("; ".join(messages[:_SHOWN]) + more)


def open_index(raw: RawLake) -> RawIndex:
    """The index of the raw lake, rebuilt from the raw files where it was lost."""
    if not raw.index.is_complete():
        raw.index.set_complete(found_deliveries(raw.store), found_manifests(raw.store))
    return raw.index


def _adopt(raw: RawLake) -> None:
    """Index what a killed pass landed and could not record any more; its source may be gone."""
    if not raw.is_shared:
        raw.index.add(found_deliveries(raw.store), found_manifests(raw.store))


def _adopt_expected(raw: RawLake) -> None:
    """The same of a shared raw lake, for a pass of any machine; one that goes on adds nothing twice."""
    if expected := raw.index.expected():
        gone = set(raw.store.missing(expected))
        there = [name for name in expected if name not in gone]
        manifests = [manifest_in(raw.store, name) for name in there if manifest_hash_shown(name)]
        raw.index.add([delivery_in(raw.store, name) for name in there if not manifest_hash_shown(name)], manifests)
        raw.index.forget_expected(there, now_utc())


def _publish(raw: RawLake, landed: list[Landed], writer: Writer) -> list[Landed]:
    if raw.is_shared and landed:
        raw.index.expect([item.file for item in landed if item.file], now_utc())
    return publish_all(landed, raw.store, writer)


def _newest_deliveries(index: RawIndex, readings: list[Offer]) -> dict[tuple[str, datetime], LandedDelivery]:
    """The newest delivery of each of these feed hours that has one."""
    if not readings:
        return {}
    hours = [offer.feed_hour for offer in readings]
    feeds = {offer.feed for offer in readings}
    deliveries = index.deliveries(feeds, (min(hours), max(hours) + HOUR))
    return {(found.feed, found.feed_hour): found for found in sorted(deliveries, key=lambda found: found.landed_at)}


def _record(
    raw: RawLake,
    landed: list[Landed],
    writer: Writer,
    landed_at: datetime,
    report: LandingReport,
    follower: PassFollower | None,
) -> None:
    # A file must not be on record before it is sure to be there after a power failure.
    files = [item.file for item in landed if item.file]
    writer.settle(files)
    manifests = [item.manifest for item in landed if item.manifest]
    report.new += raw.index.add(
        [item.delivery for item in landed if item.delivery],
        [(manifest, landed_at) for manifest in manifests],
        [(item.offer.uri, item.offer.token) for item in landed],
    )
    if raw.is_shared and files:
        raw.index.forget_expected(files, now_utc())
    report.new_manifests += manifests
    if follower:
        follower.landed([item.offer for item in landed])
