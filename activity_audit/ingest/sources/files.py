"""Feeds as files below a folder: `<slug>/<YYYY-MM-DD>/<HH>/<name>`; the folder is the feed hour."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from activity_audit.base.hours import EARLIEST_YEAR, HOUR_FOLDER
from activity_audit.ingest.readers.formats import MANIFEST_NAME, feed_format, is_feed_name
from activity_audit.ingest.sources.file_systems import Entry, LocalFiles, local_path
from activity_audit.ingest.sources.source import Listing, Offer, SourceError, Unlisted

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HOUR = re.compile(r"[01]\d|2[0-3]", re.ASCII)


class FileSource:
    """The default source: `root` is a folder of this machine, as a path or a `file://` URL.

    A folder that `must_exist` and is not there is an error: a disk that is not mounted, or a wrong name.
    """

    def __init__(self, root: str, known_feeds: Collection[str], *, must_exist: bool = False) -> None:
        path = local_path(root)
        if path is None:
            raise ValueError(f"{root!r} is not a folder of this machine")
        self._root = root
        self._files = LocalFiles(path)
        self._must_exist = must_exist
        self._known = frozenset(known_feeds)

    def list(self, feeds: Collection[str], window: tuple[datetime, datetime] | None) -> Listing:
        """See Source.list. A root that need not exist has no deliveries until it does."""
        whole = Listing()
        for part in self.list_by_feed(feeds, window):
            whole.add(part)
        return whole

    def list_by_feed(self, feeds: Collection[str], window: tuple[datetime, datetime] | None) -> Iterator[Listing]:
        """The same in parts, none with the offers of two feeds: a folder may have years of files."""
        files = self._files
        if self._must_exist and not Path(files.root).is_dir():
            raise SourceError(
                f"AUDIT_FEED_URL={self._root!r}: there is no such folder; mount it, create it, or correct the setting"
            )
        look = _Look(files, window)
        for entry in look.visible(files.root, ""):
            if not entry.is_folder or entry.name not in self._known:
                look.listing.unknown.append(f"{entry.name}/" if entry.is_folder else entry.name)
            elif entry.name in feeds:
                look.feed(entry)
                yield look.listing
                look.listing = Listing()
        yield look.listing

    def open(self, offer: Offer) -> BinaryIO:
        """See Source.open."""
        return self._files.open(offer.location)


class _Look:
    """One look at a folder of feeds: `listing` is what it has found so far."""

    def __init__(self, files: LocalFiles, window: tuple[datetime, datetime] | None) -> None:
        self._files = files
        self._window = window
        self.listing = Listing()

    def feed(self, feed: Entry) -> None:
        """Take up what a feed's folder has for the hours in the window."""
        try:
            for day_folder in self.visible(feed.location, f"{feed.name}/"):
                self._day(feed, day_folder)
        except SourceError as error:
            self._unlisted(feed.name, None, feed, error)

    def visible(self, location: str, shown: str) -> Iterator[Entry]:
        """What is in a folder and may be a feed's; what may not be read there is warned of, after `shown`."""
        for entry in self._files.entries(location):
            if not is_feed_name(entry.name):
                continue
            if entry.refused:
                self.listing.warnings.append(f"{shown}{entry.name} {entry.refused}; it was not read")
            else:
                yield entry

    def _day(self, feed: Entry, folder: Entry) -> None:
        shown = f"{feed.name}/{folder.name}"
        day = parse_day(folder.name) if folder.is_folder else None
        if day is None:
            self.listing.unknown.append(shown)
            return
        if not is_loadable(day):
            self.listing.unlisted.append(Unlisted(feed.name, None, folder.name, folder.uri, NOT_LOADABLE))
            return
        if self._window and not self._window[0].date() <= day.date() <= self._window[1].date():
            return
        try:
            for hour_folder in self.visible(folder.location, f"{shown}/"):
                if not hour_folder.is_folder or not is_hour_name(hour_folder.name):
                    self.listing.unknown.append(f"{shown}/{hour_folder.name}")
                    continue
                hour = day + timedelta(hours=int(hour_folder.name))
                if not self._window or self._window[0] <= hour < self._window[1]:
                    self._hour(feed, hour_folder, hour)
        except SourceError as error:
            self._unlisted(feed.name, None, folder, error)

    def _hour(self, feed: Entry, folder: Entry, hour: datetime) -> None:
        """The deliveries and the manifest in an hour's folder; what is neither is added to the unknown."""
        shown = f"{feed.name}/{hour:{HOUR_FOLDER}}"
        try:
            entries = self._files.entries(folder.location)
        except SourceError as error:
            self._unlisted(feed.name, hour, folder, error)
            return
        for entry in entries:
            is_manifest = entry.name == MANIFEST_NAME
            if not is_manifest and not is_feed_name(entry.name):
                continue
            if entry.refused:
                self.listing.warnings.append(f"{shown}/{entry.name} {entry.refused}; it was not read")
            elif not entry.is_file or not (is_manifest or feed_format(entry.name)):
                self.listing.unknown.append(f"{shown}/{entry.name}")
            else:
                offer = Offer(
                    feed.name, hour, entry.name, entry.uri, entry.token, entry.size, is_manifest, entry.location
                )
                self.listing.offers.append(offer)

    def _unlisted(self, feed: str, hour: datetime | None, folder: Entry, error: SourceError) -> None:
        self.listing.unlisted.append(Unlisted(feed, hour, folder.name, folder.uri, str(error)))


NOT_LOADABLE = f"it names no feed hour that can be loaded: the first is in the year {EARLIEST_YEAR}"


def is_loadable(day: datetime) -> bool:
    """Whether the hours of a day can be feed hours."""
    return day.year >= EARLIEST_YEAR


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
