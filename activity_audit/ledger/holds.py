"""Legal holds: what one is, which feed hours it keeps, its row in `quality.legal_hold`, and how that row is hashed.

The hash is public and may not change: docs/integrity.md describes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass, replace
from datetime import datetime

import duckdb

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR
from activity_audit.base.vocabulary import FACT
from activity_audit.ledger.chain import BatchDigest, joined, no_rows, time_text
from activity_audit.warehouse import lake

PLACED, RELEASED = "placed", "released"
ALL = "all"
_HOLDS = "legal_hold"
_HOLD_COLUMNS = "hold_id, action, application, from_utc, to_utc, reason, by_whom, recorded_at_utc"


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
    fields = (time_text(value) if isinstance(value, datetime) else value for value in astuple(row))
    return hashlib.sha256(joined(fields).encode()).hexdigest()


def digest_of(row: HoldRow) -> BatchDigest:
    """What the ledger's entry of a row says: it is for no batch, so the row's hash stands for its deliveries."""
    name = f"{row.hold_id} {row.action}"
    return replace(no_rows((row.application, row.from_utc, name)), deliveries_sha256=row_sha256(row))


def rows_of(connection: duckdb.DuckDBPyConnection) -> list[HoldRow]:
    """Every row of `quality.legal_hold`, in the order of recording; none where there is no such table yet."""
    if not lake.has_table(connection, "quality", _HOLDS):
        return []
    query = f"select {_HOLD_COLUMNS} from audit.quality.{_HOLDS} order by recorded_at_utc, hold_id, action"
    return [HoldRow(*row) for row in connection.execute(query).fetchall()]


def insert(connection: duckdb.DuckDBPyConnection, row: HoldRow) -> None:
    """Add a row; whoever calls this adds its entry to the ledger in the same transaction."""
    statement = f"insert into audit.quality.{_HOLDS} ({_HOLD_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?)"
    connection.execute(statement, list(astuple(row)))


@dataclass(frozen=True)
class HeldHour:
    """A feed hour (a plain UTC timestamp) that is past its retention and stays, and the ids of the holds it is for."""

    feed: str
    feed_hour_utc: datetime
    holds: tuple[str, ...]


def held_hours(
    connection: duckdb.DuckDBPyConnection, hours: Collection[tuple[str, datetime]], holds: Collection[HoldRow]
) -> list[HeldHour]:
    """Those of the feed hours that a hold keeps: by its period, or by an event of its application in the period.

    The connection has `audit` attached, and the temporary table `due_hour` has the feed hours.
    """
    found: dict[tuple[str, datetime], set[str]] = {}
    for hold in holds:
        hours_of_hold = {hour for hour in hours if hold.covers(*hour)}
        for hour in hours_of_hold | _with_events(connection, hold):
            found.setdefault(hour, set()).add(hold.hold_id)
    ordered = sorted(found.items(), key=lambda item: (item[0][1], item[0][0]))
    return [HeldHour(feed, time, tuple(sorted(ids))) for (feed, time), ids in ordered]


def _with_events(connection: duckdb.DuckDBPyConnection, hold: HoldRow) -> set[tuple[str, datetime]]:
    """The feed hours that have an event of the hold's application whose time is in its period, whatever their feed."""
    rows = connection.execute(
        f"""
        select distinct feed, feed_hour_utc from {FACT}
        where event_time_utc >= $start and event_time_utc < $end
        and ($application = $everything or application = $application)
        and (feed, feed_hour_utc) in (select feed, feed_hour_utc from due_hour)
        """,
        {"start": hold.from_utc, "end": hold.to_utc, "application": hold.application, "everything": ALL},
    ).fetchall()
    return {(feed, hour) for feed, hour in rows}
