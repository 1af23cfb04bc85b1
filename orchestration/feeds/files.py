"""Feeds as files below a folder or any fsspec URL: `<slug>/<YYYY-MM-DD>/<HH>/<name>`; the folder is the feed hour."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from orchestration.feeds.file_systems import Entry, FileSystem, LocalFiles, RemoteFiles, local_path
from orchestration.feeds.formats import MANIFEST_NAME, feed_format, is_feed_name
from orchestration.feeds.source import Listing, Offer, SourceError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HOUR = re.compile(r"[01]\d|2[0-3]", re.ASCII)


class FileSource:
    """The default source: `root` is a local folder or an fsspec URL.

    A local folder that `must_exist` and is not there is an error: a disk that is not mounted, or a wrong name.
    """

    def __init__(self, root: str, known_feeds: Collection[str], *, must_exist: bool = False) -> None:
        self._root = root
        self._must_exist = must_exist
        self._known = frozenset(known_feeds)

    def list(self, feeds: Collection[str], window: tuple[datetime, datetime] | None) -> Listing:
        """See Source.list. A root that need not exist has no deliveries until it does."""
        files = self._files
        if self._must_exist and local_path(self._root) and not Path(files.root).is_dir():
            raise SourceError(
                f"AUDIT_FEED_URL={self._root!r} is no folder that is there; mount or create it, or correct it"
            )
        files.refresh()
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

    @cached_property
    def _files(self) -> FileSystem:
        path = local_path(self._root)
        return RemoteFiles(self._root) if path is None else LocalFiles(path)


def _hours(
    files: FileSystem, feed: Entry, window: tuple[datetime, datetime] | None, listing: Listing
) -> Iterator[tuple[Entry, datetime]]:
    """The folders of a feed's hours in the window; what is none is added to the unknown."""
    for day_folder in _visible(files, feed.location):
        day = _parse_day(day_folder.name) if day_folder.is_folder else None
        if day is None:
            listing.unknown.append(f"{feed.name}/{day_folder.name}")
            continue
        if window and (day + timedelta(days=1) <= window[0] or day >= window[1]):
            continue
        for hour_folder in _visible(files, day_folder.location):
            if not hour_folder.is_folder or not _HOUR.fullmatch(hour_folder.name):
                listing.unknown.append(f"{feed.name}/{day_folder.name}/{hour_folder.name}")
                continue
            hour = day + timedelta(hours=int(hour_folder.name))
            if not window or window[0] <= hour < window[1]:
                yield hour_folder, hour


def _offers(files: FileSystem, folder: Entry, feed: str, hour: datetime, listing: Listing) -> Iterator[Offer]:
    """The deliveries and the manifest in an hour's folder; what is neither is added to the unknown."""
    for entry in files.entries(folder.location):
        is_manifest = entry.name == MANIFEST_NAME
        if not is_manifest and not is_feed_name(entry.name):
            continue
        if not entry.is_file or not (is_manifest or feed_format(entry.name)):
            listing.unknown.append(f"{feed}/{hour:%Y-%m-%d/%H}/{entry.name}")
            continue
        yield Offer(feed, hour, entry.name, entry.uri, entry.token, entry.size, is_manifest, entry.location)


def _visible(files: FileSystem, location: str) -> Iterator[Entry]:
    return (entry for entry in files.entries(location) if is_feed_name(entry.name))


def _parse_day(name: str) -> datetime | None:
    if not _DAY.fullmatch(name):
        return None
    try:
        return datetime.strptime(name, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
