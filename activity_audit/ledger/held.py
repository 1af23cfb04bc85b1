"""Which feed hours legal holds keep."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from activity_audit.ledger.hold_rules import ALL, HoldRow

if TYPE_CHECKING:
    import duckdb


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
        """
        select distinct feed, feed_hour_utc from audit.main.fact_activity_event
        where event_time_utc >= $start and event_time_utc < $end
        and ($application = $everything or application = $application)
        and (feed, feed_hour_utc) in (select feed, feed_hour_utc from due_hour)
        """,
        {"start": hold.from_utc, "end": hold.to_utc, "application": hold.application, "everything": ALL},
    ).fetchall()
    return {(feed, hour) for feed, hour in rows}
