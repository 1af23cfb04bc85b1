"""What a source of feeds is: it lists deliveries and opens them. Landing, judging and publishing are not its
business, so a new source is one class with these methods.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import BinaryIO, Protocol


@dataclass(frozen=True, order=True)
class Offer:
    """One file that a source has for a feed hour.

    `token` changes whenever the content may have changed (for local files: size, times and inode); an offer
    whose token was landed before is not read again. `size` is in bytes, -1 where the source cannot tell.
    `name` and `uri` are for people and are always Unicode; `location` is what the source itself finds the
    file by, where that is not the `uri`.
    """

    feed: str
    feed_hour: datetime
    name: str
    uri: str
    token: str
    size: int
    is_manifest: bool = False
    location: str = ""


@dataclass
class Listing:
    """What a look at a source found: the offers, and what it found there that no feed is known for."""

    offers: list[Offer] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


class Source(Protocol):
    """Lists and opens the deliveries of (feed, feed hour)."""

    def list(self, feeds: Collection[str], window: tuple[datetime, datetime] | None) -> Listing:
        """Everything on offer for these feeds, in the half-open window of feed hours or in all of them.

        Raises:
            SourceError: if the source cannot be reached or read.
        """
        ...

    def open(self, offer: Offer) -> BinaryIO:
        """The bytes of an offer, as delivered (still compressed).

        Raises:
            FileNotFoundError: if it is gone or is no longer what was offered, and likewise while it is read.
            OSError: if it cannot be read, and likewise while it is read.
        """
        ...


class SourceError(RuntimeError):
    """A source cannot be read; the message says which, why, and what to do."""


def every_offer(listing: Listing) -> Iterator[Offer]:
    """The offers in the order in which they are landed: by hour, feed and name."""
    return iter(sorted(listing.offers, key=lambda offer: (offer.feed_hour, offer.feed, offer.name)))
