"""Feeds as objects below an fsspec URL, laid out like files: `<slug>/<YYYY-MM-DD>/<HH>/<name>`.

The names of a feed's objects sort by feed hour, so that a listing can begin at one. What it costs then follows what
was delivered since, and not all that was ever delivered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cached_property
from typing import BinaryIO

from activity_audit.base.hours import HOUR_FOLDER
from activity_audit.ingest.readers.formats import MANIFEST_NAME, feed_format, is_feed_name
from activity_audit.ingest.sources.file_systems import local_path
from activity_audit.ingest.sources.files import NOT_LOADABLE, FileSource, is_hour_name, is_loadable, parse_day
from activity_audit.ingest.sources.object_store import ObjectStore, StoredObject
from activity_audit.ingest.sources.source import Listing, Offer, Source, Unlisted

# Half-open, in feed hours; no beginning or no end is the first or the last there is.
Span = tuple[datetime | None, datetime | None]

_FEEDS_AT_ONCE = 8
# All days begin with a digit, and these sort right before and after what does.
_FIRST, _END = "0", ":"


def source_at(root: str, known_feeds: Collection[str], *, must_exist: bool = False) -> Source:
    """The source of the feeds below a local folder, which may have to exist, or an fsspec URL."""
    if local_path(root) is None:
        return BucketSource(root, known_feeds)
    return FileSource(root, known_feeds, must_exist=must_exist)


class BucketSource:
    """The feeds below `url`, an fsspec URL that is not of this machine."""

    def __init__(self, url: str, known_feeds: Collection[str]) -> None:
        self._url = url
        self._known = frozenset(known_feeds)

    def list(self, feeds: Collection[str], window: tuple[datetime, datetime] | None) -> Listing:
        """See Source.list. A URL below which there is nothing yet has no deliveries."""
        return self.list_spans(dict.fromkeys(feeds, window or (None, None)))

    def list_spans(self, spans: Mapping[str, Span]) -> Listing:
        """What is on offer for each feed in its own span.

        Names that cannot be days are looked for only where a span is without beginning.

        Raises:
            SourceError: if the store cannot be reached or read.
        """
        self._store.refresh()
        listing = Listing(is_whole=all(start is None and end is None for start, end in spans.values()))
        found = []
        for name, is_folder in self._store.children(self._store.root):
            if not is_feed_name(name):
                continue
            if not is_folder or name not in self._known:
                listing.unknown.append(f"{name}/" if is_folder else name)
            elif name in spans:
                found.append(name)
        with ThreadPoolExecutor(_FEEDS_AT_ONCE) as pool:
            for part in pool.map(lambda feed: self._feed(feed, spans[feed]), found):
                listing.add(part)
        return listing

    def open(self, offer: Offer) -> BinaryIO:
        """See Source.open."""
        return self._store.open(offer.location, offer.token)

    @cached_property
    def _store(self) -> ObjectStore:
        return ObjectStore(self._url)

    def _feed(self, feed: str, span: Span) -> Listing:
        start, end = span
        folder = f"{self._store.root}/{feed}"
        listing = Listing()
        if start is None:
            days = self._store.children(folder)
            listing.unknown += [
                f"{feed}/{name}"
                for name, is_folder in days
                if is_feed_name(name) and not (is_folder and parse_day(name))
            ]
        first = _FIRST if start is None else f"{start:{HOUR_FOLDER}}"
        last = _END if end is None else f"{end:{HOUR_FOLDER}}"
        unknown: dict[str, None] = dict.fromkeys(listing.unknown)
        not_loadable: dict[str, Unlisted] = {}
        for item in self._store.objects(folder, first, last):
            place = _place(item.path)
            if isinstance(place, str):
                unknown[f"{feed}/{place}"] = None
            elif place and is_loadable(place[0]):
                listing.offers.append(_offer(feed, *place, item))
            elif place:
                day = item.path.partition("/")[0]
                uri = item.uri.removesuffix(item.path.removeprefix(day))
                not_loadable[day] = Unlisted(feed, None, day, uri, NOT_LOADABLE)
        listing.unknown = list(unknown)
        listing.unlisted = list(not_loadable.values())
        return listing


def _place(path: str) -> tuple[datetime, str] | str | None:
    """The feed hour and the name that an object's path in its feed's folder means.

    It is the part of the path that no hour is known for, where there is none, and None where it is nobody's business.
    """
    parts = path.split("/")
    is_manifest = len(parts) == 3 and parts[2] == MANIFEST_NAME
    for depth, part in enumerate(parts):
        if not is_feed_name(part) and not (is_manifest and depth == 2):
            return None
        is_right = (
            (depth == 0 and parse_day(part) is not None and len(parts) > 1)
            or (depth == 1 and is_hour_name(part) and len(parts) > 2)
            or (depth == 2 and len(parts) == 3 and (is_manifest or feed_format(part) is not None))
        )
        if not is_right:
            return "/".join(parts[: depth + 1])
    day = parse_day(parts[0])
    assert day is not None, path
    return day + timedelta(hours=int(parts[1])), parts[2]


def _offer(feed: str, hour: datetime, name: str, item: StoredObject) -> Offer:
    return Offer(feed, hour, name, item.uri, item.token, item.size, name == MANIFEST_NAME, item.location)
