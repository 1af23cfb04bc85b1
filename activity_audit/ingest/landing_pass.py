"""Lands one offer: reads it, writes its raw file, and gives the file its name. It does not use the index."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from activity_audit.base.delivery_limits import DeliveryError, Limits, machine_is_at_fault
from activity_audit.ingest.manifests import MOST_BYTES, too_large
from activity_audit.ingest.offer_content import (
    ChangedWhileReadError,
    Content,
    copied_content,
    local_content,
    unreadable,
)
from activity_audit.ingest.raw_writer import write_parquet
from activity_audit.ingest.readers.formats import feed_format
from activity_audit.ingest.sources.source import Offer, Source, SourceError
from activity_audit.raw.files import delivery_in, manifest_path
from activity_audit.raw.index import LandedDelivery, LandedManifest, to_metadata
from activity_audit.raw.store import RawStore, Writer


@dataclass(frozen=True)
class Landed:
    """What became of an offer: a delivery, a new manifest, or neither where it brings nothing new.

    `file` is the name of what it adds to the raw lake, None where that was there. It is whole, and in scratch space
    as `temporary` until `publish_all` gives it its name.
    """

    offer: Offer
    delivery: LandedDelivery | None = None
    manifest: LandedManifest | None = None
    file: str | None = None
    temporary: Path | None = None


@dataclass(frozen=True)
class Failed:
    """An offer that cannot be landed: what is wrong with it alone, or with its source."""

    offer: Offer
    error: DeliveryError | SourceError


class LandingPass:
    """Lands the offers of one pass; `land` may be called from several threads.

    `manifests` and `newest` are the newest manifests and deliveries by feed and hour; of the latter those that
    readings are compared with are enough. `folder` is the pass's scratch space.
    """

    def __init__(
        self,
        source: Source,
        store: RawStore,
        folder: Path,
        manifests: Mapping[tuple[str, datetime], LandedManifest],
        newest: Mapping[tuple[str, datetime], LandedDelivery],
        landed_at: datetime,
        max_record_bytes: int,
        limits: Limits,
    ) -> None:
        self._source = source
        self._store = store
        self._folder = folder
        self._manifests = manifests
        self._newest = newest
        self._landed_at = landed_at
        self._max_record_bytes = max_record_bytes
        self._limits = limits
        self._numbers = itertools.count()

    def land(self, offer: Offer) -> Landed | Failed | None:
        """Read one offer and write what it adds: what will become of it, why it cannot be read, or None if it waits.

        It waits for the next pass if it changed under our hands or is gone. `publish_all` is still to come.

        Raises:
            OSError: if the raw lake cannot be written.
        """
        try:
            with machine_is_at_fault():
                if offer.is_manifest:
                    return self._land_manifest(offer)
                self._limits.check_size(offer.size)
                with self._content(offer) as content:
                    return self._land_delivery(offer, content)
        except ChangedWhileReadError:
            return None
        except (SourceError, DeliveryError) as error:
            return Failed(offer, error)
        except OSError:
            raise
        except Exception as error:
            # No reader foresaw it. The delivery is the cause if others can be read, and is named either way.
            return Failed(offer, SourceError(f"{offer.uri} cannot be read: {type(error).__name__}: {error}"))

    @contextmanager
    def _content(self, offer: Offer) -> Iterator[Content]:
        with self._open(offer) as stream:
            local = getattr(stream, "name", None)
            # Not by pathlib, which takes longer, here for each of many small files.
            if isinstance(local, (str, bytes)) and os.path.isfile(local):  # noqa: PTH113
                yield local_content(offer, stream, local)
                return
            copy = self._temporary()
            try:
                with copy.open("w+b") as file:
                    yield copied_content(offer, stream, file, self._limits)
            finally:
                copy.unlink()

    def _open(self, offer: Offer) -> BinaryIO:
        try:
            return self._source.open(offer)
        except FileNotFoundError:
            raise ChangedWhileReadError(offer.uri) from None
        except OSError as error:
            raise unreadable(offer, error) from error

    def _temporary(self) -> Path:
        return self._folder / str(next(self._numbers))

    def _land_manifest(self, offer: Offer) -> Landed:
        _refuse_large(offer.size)
        with self._content(offer) as content:
            _refuse_large(content.size)
            content.stream.seek(0)
            manifest = LandedManifest(offer.feed, offer.feed_hour, content.sha256, content.stream.read())
            content.check()
        known = self._manifests.get((offer.feed, offer.feed_hour))
        if known and known.sha256 == manifest.sha256:
            return Landed(offer)
        target = manifest_path(manifest, self._landed_at)
        temporary = self._temporary()
        temporary.write_bytes(manifest.content)
        return Landed(offer, manifest=manifest, file=target, temporary=temporary)

    def _land_delivery(self, offer: Offer, content: Content) -> Landed:
        if self._brings_nothing(offer, content):
            content.check()
            return Landed(offer)
        delivery = LandedDelivery(
            delivery_id=delivery_id(offer, content.sha256),
            feed=offer.feed,
            feed_hour=offer.feed_hour,
            name=offer.name,
            source_uri=offer.source_uri,
            sha256=content.sha256,
            bytes=content.size,
            records=0,
            landed_at=self._landed_at,
        )
        if self._store.exists(delivery.raw_path):
            content.check()
            return Landed(offer, delivery_in(self._store, delivery.raw_path))
        declared = feed_format(offer.name)
        assert declared is not None, offer.name
        temporary = self._temporary()
        try:
            records = write_parquet(
                content.stream,
                content.size,
                declared,
                temporary,
                to_metadata(delivery),
                self._max_record_bytes,
                self._limits,
            )
            content.check()
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return Landed(offer, replace(delivery, records=records), file=delivery.raw_path, temporary=temporary)

    def _brings_nothing(self, offer: Offer, content: Content) -> bool:
        newest = self._newest.get((offer.feed, offer.feed_hour))
        if newest is None:
            return offer.optional and content.size == 0
        return offer.is_reading and newest.sha256 == content.sha256


def publish_all(landed: Collection[Landed], store: RawStore, writer: Writer) -> list[Landed]:
    """Give the files of these their names in the raw lake, many at a time; what became of each.

    Raises:
        OSError: if the raw lake cannot be written.
    """
    files = [(item.temporary, item.file) for item in landed if item.temporary and item.file]
    is_new = dict(zip((name for _, name in files), writer.publish(files), strict=True))
    return [_named(item, store, is_new) for item in landed]


def _named(item: Landed, store: RawStore, is_new: Mapping[str, bool]) -> Landed:
    if item.delivery and item.file and not is_new[item.file]:
        # Another pass was quicker, and its file says when it was landed.
        return Landed(item.offer, delivery_in(store, item.file))
    return item


def delivery_id(offer: Offer, sha256: str) -> str:
    """The identity of a delivery: this content under this name for this feed hour, however often it is sent."""
    identity = "\x1f".join((offer.feed, offer.feed_hour.isoformat(), offer.name, sha256))
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _refuse_large(manifest_bytes: int) -> None:
    if manifest_bytes > MOST_BYTES:
        raise DeliveryError(f"the manifest cannot be read: {too_large(manifest_bytes)}")
