"""Landing: each delivery becomes one immutable Parquet file of the raw lake, every record as it came.

A file appears under its final name only when it is whole, and the name follows from the delivery's content,
so that landing may be killed and repeated at any point. No warehouse lock is held here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.feeds.formats import feed_format
from orchestration.feeds.raw_index import LandedDelivery, LandedManifest, RawIndex, to_metadata
from orchestration.feeds.raw_parquet import delivery_in, write_parquet
from orchestration.feeds.source import Listing, Offer, Source, every_offer

if TYPE_CHECKING:
    import duckdb

_HASH_BLOCK = 1 << 20
_INDEX_EVERY = 200
_THREADS = 2


@dataclass
class LandingReport:
    """What a landing pass did."""

    new: list[LandedDelivery] = field(default_factory=list)
    new_manifests: list[LandedManifest] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """What an operator should look at, one sentence each."""
        return [f"no feed is known for {path}; it was not read" for path in self.unknown] + [
            f"{uri} changed or went away while it was read; the next run takes it" for uri in self.deferred
        ]


class ChangedWhileReadError(RuntimeError):
    """A delivery is not what it was when it was listed: it is still being written, or was replaced."""


def changed_offers(index: RawIndex, listing: Listing) -> list[Offer]:
    """The offers that are new, or may have changed since they were last landed."""
    tokens = index.tokens()
    return [offer for offer in every_offer(listing) if tokens.get(offer.uri) != offer.token]


def land(
    source: Source,
    raw_dir: Path,
    *,
    feeds: Collection[str],
    window: tuple[datetime, datetime] | None,
    landed_at: datetime,
    max_record_bytes: int,
    on_progress: Callable[[int, int], None] | None = None,
) -> LandingReport:
    """Bring every new or changed delivery of these feeds and feed hours into the raw lake.

    `on_progress(done, total)` is called as deliveries are landed.

    Raises:
        SourceError: if the source cannot be listed or read.
    """
    index = open_index(raw_dir)
    listing = source.list(feeds, window)
    offers = changed_offers(index, listing)
    report = LandingReport(unknown=listing.unknown)
    if not offers:
        return report
    pass_ = _Pass(source, raw_dir, landed_at, max_record_bytes)
    try:
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            pending: list[tuple[Offer, LandedDelivery | LandedManifest]] = []
            for done, (offer, result) in enumerate(zip(offers, pool.map(pass_.land, offers), strict=True), 1):
                if result is None:
                    report.deferred.append(offer.uri)
                else:
                    pending.append((offer, result))
                if len(pending) >= _INDEX_EVERY:
                    _record(index, pending, landed_at, report)
                    pending = []
                if on_progress:
                    on_progress(done, len(offers))
            _record(index, pending, landed_at, report)
    finally:
        pass_.close()
    return report


def _record(
    index: RawIndex,
    landed: list[tuple[Offer, LandedDelivery | LandedManifest]],
    landed_at: datetime,
    report: LandingReport,
) -> None:
    deliveries = [item for _, item in landed if isinstance(item, LandedDelivery)]
    manifests = [item for _, item in landed if isinstance(item, LandedManifest)]
    index.add(
        deliveries,
        [(item, landed_at) for item in manifests],
        [(offer.uri, offer.token) for offer, _ in landed],
    )
    report.new += [item for item in deliveries if item.landed_at == landed_at]
    report.new_manifests += manifests


def open_index(raw_dir: Path) -> RawIndex:
    """The index of the raw lake, rebuilt from the raw files where it was lost."""
    index = RawIndex(raw_dir)
    if not index.exists() and raw_dir.is_dir():
        found = [delivery_in(path) for path in sorted(raw_dir.glob("*/*/*/*.parquet")) if path.name[0] != "."]
        manifests = []
        for path in sorted(raw_dir.glob("*/*/*/*.manifest.json")):
            feed, day, hour = path.parts[-4:-1]
            content = path.read_bytes()
            when = datetime.fromisoformat(f"{day}T{hour}:00:00+00:00")
            landed = datetime.fromtimestamp(path.stat().st_mtime, tz=when.tzinfo)
            manifests.append(
                (LandedManifest(feed, when, hashlib.sha256(content).hexdigest(), content), landed)
            )
        index.add(found, manifests)
    return index


class _Pass:
    """One landing pass: what its threads share."""

    def __init__(self, source: Source, raw_dir: Path, landed_at: datetime, max_record_bytes: int) -> None:
        self._source = source
        self._raw_dir = raw_dir
        self._landed_at = landed_at
        self._max_record_bytes = max_record_bytes
        self._local = threading.local()
        self._connections: list[duckdb.DuckDBPyConnection] = []

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _connection(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        if not hasattr(self._local, "connection"):
            self._local.connection = duckdb.connect(config={"threads": 1})
            self._local.connection.execute("set TimeZone = 'UTC'")
            self._connections.append(self._local.connection)
        return self._local.connection

    def land(self, offer: Offer) -> LandedDelivery | LandedManifest | None:
        """Land one offer; None where it changed under our hands and must wait for the next run."""
        try:
            with self._content(offer) as (path, sha256):
                if offer.is_manifest:
                    return self._land_manifest(offer, path.read_bytes())
                return self._land_delivery(offer, path, sha256)
        except (FileNotFoundError, ChangedWhileReadError):
            return None

    @contextmanager
    def _content(self, offer: Offer) -> Iterator[tuple[Path, str]]:
        """A local file with the offer's content, and its hash; it is checked to be the same afterwards."""
        with self._source.open(offer) as stream, tempfile.TemporaryDirectory(dir=self._spool()) as spool:
            local = Path(stream.name) if isinstance(getattr(stream, "name", None), str) else None
            if local and local.is_file():
                before = _fingerprint(local)
                yield local, _hash(stream)
                if _fingerprint(local) != before:
                    raise ChangedWhileReadError(offer.uri)
            else:
                copy = Path(spool) / "content"
                with copy.open("wb") as file:
                    shutil.copyfileobj(stream, file, _HASH_BLOCK)
                with copy.open("rb") as file:
                    sha256 = _hash(file)
                yield copy, sha256

    def _spool(self) -> Path:
        spool = self._raw_dir / ".spool"
        spool.mkdir(parents=True, exist_ok=True)
        return spool

    def _land_manifest(self, offer: Offer, content: bytes) -> LandedManifest:
        manifest = LandedManifest(offer.feed, offer.feed_hour, hashlib.sha256(content).hexdigest(), content)
        folder = self._raw_dir / offer.feed / f"{offer.feed_hour:%Y-%m-%d/%H}"
        folder.mkdir(parents=True, exist_ok=True)
        with _whole_file(folder / f"{manifest.sha256[:32]}.manifest.json") as temporary:
            temporary.write_bytes(content)
        return manifest

    def _land_delivery(self, offer: Offer, content: Path, sha256: str) -> LandedDelivery:
        delivery = LandedDelivery(
            delivery_id=delivery_id(offer, sha256),
            feed=offer.feed,
            feed_hour=offer.feed_hour,
            name=offer.name,
            source_uri=offer.uri,
            sha256=sha256,
            bytes=content.stat().st_size,
            records=0,
            landed_at=self._landed_at,
        )
        target = self._raw_dir / delivery.raw_path
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            declared = feed_format(offer.name)
            assert declared is not None, offer.name
            with _whole_file(target) as temporary:
                write_parquet(
                    self._connection(),
                    content,
                    declared,
                    temporary,
                    to_metadata(delivery),
                    self._max_record_bytes,
                )
        return delivery_in(target)


def delivery_id(offer: Offer, sha256: str) -> str:
    """The identity of a delivery: this content under this name for this feed hour, however often it is sent."""
    identity = "\x1f".join((offer.feed, offer.feed_hour.isoformat(), offer.name, sha256))
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


@contextmanager
def _whole_file(target: Path) -> Iterator[Path]:
    """A temporary path that becomes `target` once it is whole and on disk."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _hash(stream: Any) -> str:
    digest = hashlib.sha256()
    while block := stream.read(_HASH_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def _fingerprint(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
