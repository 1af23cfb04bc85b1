"""What a source of feeds is: it lists deliveries and opens them. AUDIT_SOURCE=package.module:Class names a user's own.

Landing, judging and publishing are not its business, so a new source is one class with these methods.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

from activity_audit.raw.index import READING
from activity_audit.settings.core import Settings


@dataclass(frozen=True, order=True)
class Offer:
    """One file that a source has for a feed hour.

    `token` changes whenever the content may have changed (for local files: size, times and inode); an offer
    whose token was landed before is not read again. `size` is in bytes, -1 where the source cannot tell.
    `name` and `uri` are for people and are always Unicode; `location` is what the source itself finds the
    file by, where that is not the `uri`.

    A source that can be asked again and again names its offers `reading/<time>.<extension>`: everything that it
    has for the feed hour at that time. A reading is landed only where it differs from the newest delivery of its
    feed hour, and an event that an earlier reading had and a later one has not is reported as vanished. An
    `optional` offer is no delivery where it is empty, unless an earlier delivery was not.
    """

    feed: str
    feed_hour: datetime
    name: str
    uri: str
    token: str
    size: int
    is_manifest: bool = False
    location: str = ""
    optional: bool = False

    @property
    def is_reading(self) -> bool:
        """Whether it is all that the source has for the feed hour, not one file of several."""
        return self.name.startswith(READING)

    @property
    def source_uri(self) -> str:
        """Where the records are from: two readings have positions of their own, so each has its own name there."""
        return f"{self.uri}/{self.name}" if self.is_reading else self.uri


@dataclass(frozen=True)
class Unlisted:
    """A folder of a feed that no offer can be had from, and why; `feed_hour` is None where it is of no single one."""

    feed: str
    feed_hour: datetime | None
    name: str
    uri: str
    reason: str


@dataclass
class Listing:
    """What a look at a source found: the offers, and what it found there that no feed is known for.

    `apart` are hours that failed while others did not: each is run by itself, so that it holds up no other.
    `warnings` are sentences for an operator. `unlisted` is reported until a look that `is_whole` finds it no more; a
    look that is not went over some of the folders.
    """

    offers: list[Offer] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    apart: list[datetime] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unlisted: list[Unlisted] = field(default_factory=list)
    is_whole: bool = True

    def add(self, other: Listing, *, offers: bool = True) -> None:
        """Add what another look found, with or without its offers."""
        self.offers += other.offers if offers else []
        self.unknown += other.unknown
        self.apart += other.apart
        self.warnings += other.warnings
        self.unlisted += other.unlisted
        self.is_whole = self.is_whole and other.is_whole


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


@runtime_checkable
class PassFollower(Protocol):
    """What a source may have besides, if it wants to know of the landing pass that it is read in."""

    def prepare(self, offers: Collection[Offer], scratch: Path) -> None:
        """Before the first offer is opened: those that will be, in this order; the others it listed are landed.

        `scratch` is a folder that is removed when the pass ends.
        """
        ...

    def landed(self, offers: Collection[Offer]) -> None:
        """These offers are in the raw lake and on record for good; called as they get there, also after `stop`."""
        ...

    def stop(self) -> None:
        """No more will be opened; what is still being read may be given up."""
        ...


class SourceError(RuntimeError):
    """A source cannot be read; the message says which, why, and what to do."""


class SourceRefusedError(SourceError):
    """A source refuses us or breaks its own rules: to try again changes nothing before someone has seen to it."""


def every_offer(listing: Listing) -> Iterator[Offer]:
    """The offers in the order in which they are landed: by hour, feed and name."""
    return iter(sorted(listing.offers, key=lambda offer: (offer.feed_hour, offer.feed, offer.name)))


def own_source(settings: Settings) -> Source:
    """An instance of the class, made with the settings as its only argument.

    Raises:
        SourceError: if there is no such module or class, or it has not the methods of a source.
    """
    module, _, name = settings.source.partition(":")
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SourceError(f"AUDIT_SOURCE={settings.source!r} cannot be loaded: {error}; check PYTHONPATH") from error
    source = made(settings)
    lacking = [method for method in ("list", "open") if not callable(getattr(source, method, None))]
    if lacking:
        raise SourceError(f"AUDIT_SOURCE={settings.source!r} is not a source: it has no method {', '.join(lacking)}")
    return source
