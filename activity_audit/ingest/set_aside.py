"""The list of what is set aside: deliveries, manifests and folders that cannot be processed now.

They are kept in the index of the raw lake until the source has corrected or removed them, or they can be processed.
If the index is lost, the next run finds them again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from activity_audit.base.hours import iso, parse_time
from activity_audit.ingest.sources.source import Listing, Offer
from activity_audit.raw.database import SET_ASIDE
from activity_audit.raw.index import READING, LandedDelivery
from activity_audit.raw.lake import RawLake


@dataclass(frozen=True)
class SetAside:
    """Something of a feed that cannot be processed, and why.

    `feed_hour` is None where its folder names no feed hour that can be loaded. `delivery_id` is empty where nothing
    of it could be landed; else the raw lake has it and it cannot be judged. `gone_at` is when the source was first
    seen to have something else in its place, or nothing. It is no trouble any more then.
    """

    feed: str
    feed_hour: datetime | None
    name: str
    source_uri: str
    reason: str
    first_seen: datetime
    last_seen: datetime
    delivery_id: str = ""
    gone_at: datetime | None = None

    @property
    def sentence(self) -> str:
        """What an operator has to know."""
        where = f"{self.feed} {iso(self.feed_hour)}" if self.feed_hour else self.feed
        if self.gone_at:
            rest = "its source no longer has it; the raw lake keeps it, and a run over its hour tries it again"
        else:
            rest = (
                "everything else goes on; each run tries it again until it can be processed, or is corrected or removed"
            )
        return f"{self.source_uri} ({where}) is set aside: {self.reason}; {rest}"


class SetAsides:
    """Access to what is set aside; each call is one transaction, and several processes may use it at once."""

    def __init__(self, raw: RawLake) -> None:
        self._index = raw.index

    def all(self, feeds: Collection[str], window: tuple[datetime, datetime] | None = None) -> list[SetAside]:
        """What is set aside of these feeds, by hour: in the half-open window or in all, and what has no feed hour."""
        with self._index.connect() as connection:
            connection.ensure(SET_ASIDE)
            rows = connection.execute(
                "select feed, feed_hour, name, source_uri, reason, first_seen, last_seen, delivery_id, gone_at "
                "from set_aside order by feed_hour nulls first, feed, name, source_uri, delivery_id"
            ).fetchall()
        found = [
            SetAside(
                feed, hour and parse_time(hour), name, uri, reason, parse_time(first), parse_time(last), delivery_id,
                gone and parse_time(gone),
            )
            for feed, hour, name, uri, reason, first, last, delivery_id, gone in rows
            if feed in feeds
        ]  # fmt: skip
        return [one for one in found if not window or not one.feed_hour or window[0] <= one.feed_hour < window[1]]

    def update(self, found: Iterable[SetAside], done: Iterable[SetAside] = ()) -> None:
        """Keep what was found, which stays first seen when it was, and forget what is done."""
        with self._index.connect() as connection:
            connection.ensure(SET_ASIDE)
            connection.executemany(
                "delete from set_aside where source_uri = ? and delivery_id = ?",
                [(one.source_uri, one.delivery_id) for one in done],
            )
            connection.executemany(
                "insert into set_aside values (?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "on conflict (source_uri, delivery_id) do update set "
                "reason = excluded.reason, last_seen = excluded.last_seen, gone_at = excluded.gone_at",
                [
                    (one.source_uri, one.delivery_id, one.feed, one.feed_hour and iso(one.feed_hour), one.name,
                     one.reason, iso(one.first_seen), iso(one.last_seen), one.gone_at and iso(one.gone_at))
                    for one in found
                ],
            )  # fmt: skip


def failed(offer: Offer, reason: str, at: datetime) -> SetAside:
    """An offer of which nothing could be landed."""
    # A reader's words may have anything in them.
    text = reason.encode(errors="backslashreplace").decode()
    return SetAside(offer.feed, offer.feed_hour, offer.name, offer.uri, text, at, at)


def culprit(delivery: LandedDelivery, reason: str, at: datetime, before: SetAside | None) -> SetAside:
    """A landed delivery that cannot be judged; `before` is what it was set aside as, if it was."""
    gone_at = before.gone_at if before else None
    return SetAside(
        delivery.feed, delivery.feed_hour, delivery.name, delivery.source_uri, reason, at, at, delivery.delivery_id,
        gone_at,
    )  # fmt: skip


def unlisted(listing: Listing, feeds: Collection[str], at: datetime) -> list[SetAside]:
    """The folders of these feeds that a look could not look into, or that no hour can be told of."""
    return [
        SetAside(one.feed, one.feed_hour, one.name, one.uri, one.reason, at, at)
        for one in listing.unlisted
        if one.feed in feeds
    ]


def settled(
    known: Iterable[SetAside],
    found: Collection[SetAside],
    listing: Listing,
    deferred: Collection[str],
    is_newest: Callable[[SetAside], bool],
    at: datetime,
) -> tuple[list[SetAside], list[SetAside]]:
    """What a pass leaves set aside, and what is done with; `known` is what was, where the pass looked.

    `deferred` are the source URIs that changed while they were read. `is_newest` tells whether what is landed is what
    its source had last under that name.
    """
    offered = {offer.uri for offer in listing.offers} | set(deferred)
    again = {one.source_uri for one in found}
    kept, done = [*found], []
    for one in known:
        if one.delivery_id:
            # A reading is gone from its source as soon as there is another.
            is_there = one.name.startswith(READING) or (one.source_uri in offered and is_newest(one))
            if is_there or one.feed_hour in listing.apart:
                continue
            if not one.gone_at:
                kept.append(replace(one, gone_at=at))
        elif one.source_uri not in again and not _was_left_out(one, listing, deferred, offered):
            done.append(one)
    return kept, done


def _was_left_out(one: SetAside, listing: Listing, deferred: Collection[str], offered: Collection[str]) -> bool:
    """Whether a pass did not come to know what has become of it."""
    if one.feed_hour is None:
        return not listing.is_whole
    return one.source_uri in deferred or (one.feed_hour in listing.apart and one.source_uri not in offered)
