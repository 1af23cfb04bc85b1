"""Feeds as files below a folder: `<slug>/<YYYY-MM-DD>/<HH>/<name>`; the folder is the feed hour."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from orchestration.feeds.file_systems import Entry, LocalFiles, local_path
from orchestration.feeds.formats import MANIFEST_NAME, feed_format, is_feed_name
from orchestration.feeds.source import Listing, Offer, SourceError
from orchestration.hours import HOUR_FOLDER

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HOUR = re.compile(r"[01]\d|2[0-3]", re.ASCII)


class FileSource:
    """The default source: `root` is a folder of this machine, as a path or a `file://` URL.

    A folder that `must_exist` and is not there is an error: a disk that is not mounted, or a wrong name.
    """

    def __init__(self, root: str, known_feeds: Collection[str], *, must_exist: bool = False) -> None:
        path = local_path(root)
        if path is None:
            raise ValueError(f"{root!r} is no folder of this machine")
        self._root = root
        self._files = LocalFiles(path)
        self._must_exist = must_exist
        self._known = frozenset(known_feeds)

    def list(self, feeds: Collection[str], window: tuple[datetime, datetime] | None) -> Listing:
        """See Source.list. A root that need not exist has no deliveries until it does."""
        files = self._files
        if self._must_exist and not Path(files.root).is_dir():
            raise SourceError(
                f"AUDIT_FEED_URL={self._root!r} is no folder that is there; mount or create it, or correct it"
            )
        listing = Listing()
        for entry in _visible(files, files.root):
            if not entry.is_folder or entry.name not in self._known:
                listing.unknown.append(f"{entry.name}/" if entry.is_folder else entry.name)
            elif entry.name in feeds:
                for folder, hour in _hours(files, entry, window, listing):
                    listing.offers += _offers(files, folder, entry.name, hour, listing)
        return listing

    def open(self, offer: Offer) -> BinaryIO:
        """See Source.open."""
        return self._files.open(offer.location)


def _hours(
    files: LocalFiles, feed: Entry, window: tuple[datetime, datetime] | None, listing: Listing
) -> Iterator[tuple[Entry, datetime]]:
    """The folders of a feed's hours in the window; what is none is added to the unknown."""
    for day_folder in _visible(files, feed.location):
        day = parse_day(day_folder.name) if day_folder.is_folder else None
        if day is None:
            listing.unknown.append(f"{feed.name}/{day_folder.name}")
            continue
        if window and (day + timedelta(days=1) <= window[0] or day >= window[1]):
            continue
        for hour_folder in _visible(files, day_folder.location):
            if not hour_folder.is_folder or not is_hour_name(hour_folder.name):
                listing.unknown.append(f"{feed.name}/{day_folder.name}/{hour_folder.name}")
                continue
            hour = day + timedelta(hours=int(hour_folder.name))
            if not window or window[0] <= hour < window[1]:
                yield hour_folder, hour


def _offers(files: LocalFiles, folder: Entry, feed: str, hour: datetime, listing: Listing) -> Iterator[Offer]:
    """The deliveries and the manifest in an hour's folder; what is neither is added to the unknown."""
    for entry in files.entries(folder.location):
        is_manifest = entry.name == MANIFEST_NAME
        if not is_manifest and not is_feed_name(entry.name):
            continue
        if not entry.is_file or not (is_manifest or feed_format(entry.name)):
            listing.unknown.append(f"{feed}/{hour:{HOUR_FOLDER}}/{entry.name}")
            continue
        yield Offer(feed, hour, entry.name, entry.uri, entry.token, entry.size, is_manifest, entry.location)


def _visible(files: LocalFiles, location: str) -> Iterator[Entry]:
    return (entry for entry in files.entries(location) if is_feed_name(entry.name))


def is_hour_name(name: str) -> bool:
    """Whether a folder of this name is one of a day's hours."""
    return _HOUR.fullmatch(name) is not None


def parse_day(name: str) -> datetime | None:
    """The day that a folder of this name holds, as its midnight in UTC; None where it is no day."""
    if not _DAY.fullmatch(name):
        return None
    try:
        return datetime.strptime(name, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
