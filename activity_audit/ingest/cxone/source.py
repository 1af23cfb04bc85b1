"""The API as a source of feeds: the hours that it offers, and one reading of an hour for all feeds."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, floor_hour, hour_range, iso, now_utc
from activity_audit.ingest.cxone.client import Client
from activity_audit.ingest.cxone.page_files import PageFiles
from activity_audit.ingest.cxone.pages import window_url
from activity_audit.ingest.cxone.reading import Reading, read_hour, window_query
from activity_audit.ingest.cxone.sealing import SEALED, ReadHours, contains, due_hours, token
from activity_audit.ingest.sources.source import Listing, Offer, SourceError
from activity_audit.raw.index import READING
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings

# Pages of one hour come one after the other, so several hours are read at once; as many are read ahead.
_AT_ONCE = 2


class CxoneSource:
    """The activity audit API of one tenant, as feeds of all applications. One instance serves one landing pass."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = now_utc) -> None:
        self._settings = settings
        self._cxone = settings.cxone
        self._clock = clock
        raw = raw_lake(settings)
        self._pages = PageFiles(raw.store)
        self._hours = ReadHours(raw)
        self._stop = threading.Event()
        self._client = Client(self._cxone, self._stop, settings.limits)
        self._lock = threading.Lock()
        self._listed: dict[datetime, str] = {}
        self._listed_feeds: set[str] = set()
        self._name = ""
        self._due: list[datetime] = []
        self._readings: dict[datetime, Future[Reading]] = {}
        self._waiting: dict[datetime, set[str]] = {}

    def list(self, feeds: Collection[str], window: tuple[datetime, datetime] | None) -> Listing:
        """An offer for every feed and every hour that is over and not sealed; the API is not asked.

        Without a window these are the hours since the first one that was ever asked for.
        """
        now = self._clock()
        known = self._hours.load()
        failed = [hour for hour in known.failed_hours if not contains(known.sealed, hour)]
        warnings = []
        if window is None:
            hours = list(due_hours(known.asked, known.sealed, now, self._settings.seal_after))
        else:
            asked = hour_range(window[0], min(window[1], floor_hour(now)))
            hours = [hour for hour in asked if not contains(known.sealed, hour)]
            if len(hours) > 1:
                warnings = [_left_out(hour) for hour in hours if hour in failed]
                hours = [hour for hour in hours if hour not in failed]
        lag, seal_after = self._settings.schedule_lag, self._settings.seal_after
        self._listed = {hour: token(now, hour, lag, seal_after) for hour in hours}
        self._listed_feeds = set(feeds)
        self._name = now.strftime("%Y%m%dT%H%M%S.%fZ")
        expected = set(self._settings.expected_feeds)
        return Listing(
            [
                Offer(
                    feed,
                    hour,
                    f"{READING}{self._name}.ndjson",
                    f"{self._uri(hour)}#{feed}",
                    self._listed[hour],
                    size=-1,
                    optional=feed not in expected,
                )
                for hour in hours
                for feed in sorted(feeds)
            ],
            apart=failed,
            warnings=warnings,
        )

    def open(self, offer: Offer) -> BinaryIO:
        """The records of a feed in its hour's reading, as lines of JSON. See Source.open; and

        Raises:
            SourceError: if the hour could not be read to its end.
        """
        return self._reading(offer.feed_hour).result().part(offer.feed).open("rb")

    def prepare(self, offers: Collection[Offer], scratch: Path) -> None:
        """See PassFollower.prepare."""
        self._scratch = scratch
        self._readers = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="cxone")
        for offer in offers:
            self._waiting.setdefault(offer.feed_hour, set()).add(offer.feed)
        self._due = sorted(self._waiting)
        # An earlier pass landed these and could not note it any more.
        self._note([hour for hour in self._listed if hour not in self._waiting])

    def landed(self, offers: Collection[Offer]) -> None:
        """See PassFollower.landed."""
        done = []
        for offer in offers:
            waiting = self._waiting[offer.feed_hour]
            waiting.discard(offer.feed)
            if not waiting:
                done.append(offer.feed_hour)
                shutil.rmtree(self._folder(offer.feed_hour), ignore_errors=True)
        self._note(done)

    def stop(self) -> None:
        """See PassFollower.stop."""
        self._stop.set()
        self._readers.shutdown(cancel_futures=True)
        self._client.close()

    def _note(self, hours: Collection[datetime]) -> None:
        """Keep in mind that these hours are landed, if all feeds were."""
        if not hours or not self._listed_feeds.issuperset(catalogue.slugs()):
            return
        sealed = [hour for hour in hours if self._listed[hour] == SEALED]
        for hour in sealed:
            self._pages.seal(hour, self._clock(), self._scratch)
        # Those that were cancelled, because something else ended the pass, neither failed nor are there.
        over = {hour: reading for hour, reading in self._readings.items() if reading.done() and not reading.cancelled()}
        failed = [hour for hour, reading in over.items() if reading.exception()]
        self._hours.mark(self._listed, hours, sealed, failed)

    def _reading(self, hour: datetime) -> Future[Reading]:
        """The reading of an hour, under way or done; those of the next hours are begun with it."""
        with self._lock:
            at = self._due.index(hour)
            for due in self._due[at : at + _AT_ONCE]:
                if due not in self._readings:
                    self._readings[due] = self._readers.submit(self._read, due)
            return self._readings[hour]

    def _read(self, hour: datetime) -> Reading:
        folder = self._folder(hour)
        folder.mkdir()
        try:
            reading = read_hour(self._client, self._cxone, hour, folder)
        except SourceError as error:
            raise type(error)(f"the activity audit of {hour:%Y-%m-%dT%H:00Z} could not be read: {error}") from None
        self._pages.keep(reading, hour, self._name)
        return reading

    def _folder(self, hour: datetime) -> Path:
        return self._scratch / f"cxone-{hour:%Y%m%dT%H}"

    def _uri(self, hour: datetime) -> str:
        """The request for the hour's window. The tenant stands for its API's host where that is looked up."""
        base = self._cxone.api_url or f"cxone://{self._cxone.tenant_id}"
        return window_url(base, self._cxone.audit_path, window_query(self._cxone, hour))


def _left_out(hour: datetime) -> str:
    return (
        f"{iso(hour)} could not be read before and is left out of the longer range; read it alone: "
        f"audit run --from {iso(hour)} --to {iso(hour + HOUR)}"
    )
