"""What the tests of the API source share: a home that reads a test server, and passes at a given time."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR as ONE_HOUR
from activity_audit.ingest.cxone.client import Client
from activity_audit.ingest.cxone.reading import read_hour
from activity_audit.ingest.cxone.source import CxoneSource
from activity_audit.ingest.landing import LandingReport, changed_offers, land, open_index
from activity_audit.raw.index import LandedDelivery
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings, load_settings
from tests.integration.cxone_server import Api, environment
from tests.integration.support import HOUR

FIRST = (HOUR, HOUR + ONE_HOUR)
# Ten minutes after the first hour, when the schedule runs it; and when nothing of it is read any more.
SOON = HOUR + ONE_HOUR + timedelta(minutes=10)
SEALED = HOUR + timedelta(days=2)


class Home:
    """A home whose source is a test server."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
        for name, value in environment(api, **changes).items():
            monkeypatch.setenv(name, value)
        self.api = api
        self.settings: Settings = load_settings()

    def source(self, now: datetime) -> CxoneSource:
        return CxoneSource(self.settings, clock=lambda: now)

    def read(self, now: datetime = SEALED) -> list[str]:
        """The records of one reading of the first hour, which is not landed."""
        self.api.now = now
        client = Client(self.settings.cxone, threading.Event(), self.settings.limits)
        with tempfile.TemporaryDirectory() as folder:
            reading = read_hour(client, self.settings.cxone, HOUR, Path(folder))
            lines = [line for feed in catalogue.slugs() for line in reading.part(feed).read_text().splitlines()]
        client.close()
        assert len(lines) == reading.records
        return sorted(lines)

    def land(
        self,
        now: datetime = SEALED,
        window: tuple[datetime, datetime] | None = FIRST,
        feeds: Collection[str] | None = None,
    ) -> LandingReport:
        """One landing pass, as if it were `now`, there and here."""
        self.api.now = now
        return land(
            self.source(now),
            raw_lake(self.settings),
            feeds=feeds or catalogue.slugs(),
            window=window,
            landed_at=now,
            max_record_bytes=self.settings.max_record_bytes,
        )

    def due(self, now: datetime) -> list[datetime]:
        """The hours that a plain run would read."""
        listing = self.source(now).list(catalogue.slugs(), None)
        return sorted({offer.feed_hour for offer in changed_offers(open_index(raw_lake(self.settings)), listing)})

    def deliveries(self, feed: str | None = None) -> list[LandedDelivery]:
        found = open_index(raw_lake(self.settings)).deliveries([feed] if feed else catalogue.slugs())
        return sorted(found, key=lambda delivery: delivery.landed_at)

    def records(self, feed: str | None = None) -> list[str]:
        """The text of every record of every delivery."""
        paths = [self.settings.raw_dir / delivery.raw_path for delivery in self.deliveries(feed)]
        return [text for path in paths for text in pq.read_table(path)["record"].to_pylist()]

    def pages(self) -> list[Path]:
        return sorted((self.settings.raw_dir / "pages").rglob("*.parquet"))

    def is_empty(self) -> bool:
        """Whether nothing at all was landed or kept."""
        return not self.deliveries() and not self.pages()


def ids(records: Collection[str]) -> list[str]:
    return sorted(json.loads(text)["eventId"] for text in records)


def texts(api: Api) -> list[str]:
    """All records that the server has."""
    return sorted(event.text for event in api.events)


def metadata(path: Path) -> dict[str, Any]:
    return json.loads(pq.read_metadata(path).metadata[b"reading"])
