"""Feeds as files below a folder or any fsspec URL: `<slug>/<YYYY-MM-DD>/<HH>/<name>`, the folder being the feed hour."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from orchestration.feeds.formats import MANIFEST_NAME, feed_format, is_feed_name
from orchestration.feeds.source import Listing, Offer, SourceError

_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_HOUR = re.compile(r"^([01]\d|2[0-3])$")


class FileSource:
    """The default source: `root` is a local folder or an fsspec URL."""

    def __init__(self, root: str, known_feeds: Collection[str]) -> None:
        self._root = root
        self._known = frozenset(known_feeds)

    def list(self, feeds: Collection[str], window: tuple[datetime, datetime] | None) -> Listing:
        """See Source.list. A root that does not exist yet has no deliveries."""
        filesystem, root = self._filesystem()
        listing = Listing()
        for folder in _entries(filesystem, root):
            slug = _basename(folder)
            if not _is_folder(folder):
                if is_feed_name(slug):
                    listing.unknown.append(slug)
            elif slug not in self._known:
                if not slug.startswith((".", "_")):
                    listing.unknown.append(f"{slug}/")
            elif slug in feeds:
                self._list_feed(filesystem, folder["name"], slug, window, listing)
        return listing

    def open(self, offer: Offer) -> BinaryIO:
        """See Source.open."""
        filesystem, _ = self._filesystem()
        if _is_local(filesystem):
            return Path(offer.uri.removeprefix("file://")).open("rb")
        return filesystem.open(offer.uri, "rb")

    def _filesystem(self) -> tuple[Any, str]:
        import fsspec

        try:
            return fsspec.core.url_to_fs(self._root)
        except (ImportError, ValueError) as error:
            raise SourceError(f"AUDIT_FEED_URL={self._root!r} cannot be opened: {error}") from error

    def _list_feed(
        self,
        filesystem: Any,
        path: str,
        slug: str,
        window: tuple[datetime, datetime] | None,
        listing: Listing,
    ) -> None:
        for day_folder in _entries(filesystem, path):
            day = _parse_day(_basename(day_folder))
            if day is None or not _is_folder(day_folder):
                _report_unknown(listing, slug, _basename(day_folder))
                continue
            if window and (day + timedelta(days=1) <= window[0] or day >= window[1]):
                continue
            for hour_folder in _entries(filesystem, day_folder["name"]):
                name = _basename(hour_folder)
                if not _HOUR.match(name) or not _is_folder(hour_folder):
                    _report_unknown(listing, slug, f"{_basename(day_folder)}/{name}")
                    continue
                hour = day + timedelta(hours=int(name))
                if window and not window[0] <= hour < window[1]:
                    continue
                self._list_hour(filesystem, hour_folder["name"], slug, hour, listing)

    def _list_hour(self, filesystem: Any, path: str, slug: str, hour: datetime, listing: Listing) -> None:
        for entry in _entries(filesystem, path):
            name = _basename(entry)
            is_manifest = name == MANIFEST_NAME
            if not is_manifest and not is_feed_name(name):
                continue
            if _is_folder(entry) or not (is_manifest or feed_format(name)):
                _report_unknown(listing, slug, f"{hour:%Y-%m-%d/%H}/{name}")
                continue
            listing.offers.append(
                Offer(
                    slug,
                    hour,
                    name,
                    _uri(filesystem, entry["name"]),
                    _token(entry),
                    entry["size"],
                    is_manifest,
                )
            )


def _report_unknown(listing: Listing, slug: str, path: str) -> None:
    if is_feed_name(path.rsplit("/", 1)[-1]):
        listing.unknown.append(f"{slug}/{path}")


def _entries(filesystem: Any, path: str) -> Iterator[dict[str, Any]]:
    try:
        entries = filesystem.ls(path, detail=True)
    except FileNotFoundError:
        return iter(())
    except (OSError, PermissionError) as error:
        raise SourceError(f"the feeds below {path} cannot be listed: {error}") from error
    return iter(sorted(entries, key=lambda entry: entry["name"]))


def _basename(entry: dict[str, Any]) -> str:
    return entry["name"].rstrip("/").rsplit("/", 1)[-1]


def _is_folder(entry: dict[str, Any]) -> bool:
    return entry["type"] == "directory"


def _is_local(filesystem: Any) -> bool:
    return "file" in (
        filesystem.protocol if isinstance(filesystem.protocol, tuple) else (filesystem.protocol,)
    )


def _uri(filesystem: Any, path: str) -> str:
    return f"file://{path}" if _is_local(filesystem) else filesystem.unstrip_protocol(path)


def _token(entry: dict[str, Any]) -> str:
    """What tells one content of a path from the next without reading it."""
    version = entry.get("ETag") or entry.get("etag") or entry.get("md5Hash") or entry.get("version_id")
    if version:
        return f"{version}:{entry['size']}"
    modified = (
        entry.get("mtime") or entry.get("LastModified") or entry.get("last_modified") or entry.get("updated")
    )
    return f"{entry['size']}:{modified}:{entry.get('created')}:{entry.get('ino')}"


def _parse_day(name: str) -> datetime | None:
    if not _DAY.match(name):
        return None
    try:
        return datetime.strptime(name, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
