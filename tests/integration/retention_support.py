"""What the tests of retention share: a retention for a home, and a source that reads an hour again."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import BinaryIO

from activity_audit.base.hours import now_utc
from activity_audit.ingest.landing import land
from activity_audit.ingest.sources.source import Listing, Offer
from activity_audit.raw.lake import local_lake
from activity_audit.settings.core import Settings
from tests.integration.support import HOUR
from tests.integration.tampering import FACT

BY_FEED = f"select feed, count(*) from {FACT} group by all order by all"
EARLIER = "2026-04-20T09:00:00Z"


def read(settings: Settings, content: bytes) -> None:
    """Land a reading of the second hour of the feed search: all that a source has for it by now."""

    class Source:
        def list(self, *_: object) -> Listing:
            name = f"reading/{len(content)}.ndjson"
            offer = Offer("search", HOUR + timedelta(hours=1), name, "api://hour", name, len(content))
            return Listing([offer])

        def open(self, _: Offer) -> BinaryIO:
            return io.BytesIO(content)

    land(
        Source(),
        local_lake(settings.raw_dir),
        feeds=["search"],
        window=None,
        landed_at=now_utc(),
        max_record_bytes=1000,
    )


def keeping(settings: Settings, retention: str) -> Settings:
    """The settings of a home, with this for AUDIT_RETENTION."""
    return settings.model_copy(update={"retention": retention})
