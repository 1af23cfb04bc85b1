"""What a legal hold is, which feed hours it covers, and how its rows are hashed. Pure, free of the warehouse.

The hash is public and may not change: docs/integrity.md describes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR
from activity_audit.ledger.chain import EMPTY_SHA256, BatchDigest

PLACED, RELEASED = "placed", "released"
ALL = "all"


@dataclass(frozen=True)
class HoldRow:
    """A row of `quality.legal_hold`, in the order of its columns; its times are plain UTC timestamps.

    The row that releases a hold repeats its application and period.
    """

    hold_id: str
    action: str
    application: str
    from_utc: datetime
    to_utc: datetime
    reason: str
    by_whom: str
    recorded_at_utc: datetime

    @property
    def feed(self) -> str | None:
        """The slug of its application's feed; None for all applications, and where the catalogue knows none."""
        return catalogue.slug_of(self.application) if self.application != ALL else None

    def covers(self, feed: str, feed_hour_utc: datetime) -> bool:
        """Whether any part of this feed hour is in the period, and the feed is one of the hold's application."""
        of_feed = self.application == ALL or self.feed == feed
        return of_feed and feed_hour_utc < self.to_utc and feed_hour_utc + HOUR > self.from_utc


def standing(rows: Iterable[HoldRow]) -> list[HoldRow]:
    """The holds that were placed and not released, by the time of placing."""
    everything = list(rows)
    released = {row.hold_id for row in everything if row.action == RELEASED}
    placed = (row for row in everything if row.action == PLACED and row.hold_id not in released)
    return sorted(placed, key=lambda row: (row.recorded_at_utc, row.hold_id))


def row_sha256(row: HoldRow) -> str:
    """The hash of a row: of its fields, each as its length in bytes, a colon and its text, joined by commas."""
    fields = (
        row.hold_id,
        row.action,
        row.application,
        _time(row.from_utc),
        _time(row.to_utc),
        row.reason,
        row.by_whom,
        _time(row.recorded_at_utc),
    )
    text = ",".join(f"{len(field.encode())}:{field}" for field in fields)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(row: HoldRow) -> BatchDigest:
    """What the ledger's entry of a row says: it is for no batch, so the row's hash stands for its deliveries."""
    return BatchDigest(
        feed=row.application,
        feed_hour_utc=row.from_utc,
        run_id=f"{row.hold_id} {row.action}",
        deliveries=0,
        received=0,
        accepted=0,
        duplicate=0,
        quarantined=0,
        events_sha256=EMPTY_SHA256,
        deliveries_sha256=row_sha256(row),
        quarantined_sha256=EMPTY_SHA256,
    )


def _time(value: datetime) -> str:
    return f"{value.isoformat(timespec='microseconds')}Z"
