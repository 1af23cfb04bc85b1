"""The limits of an upkeep that runs alone: it deletes nothing if the clock may be wrong or too much would go."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import duckdb

from activity_audit.base import catalogue
from activity_audit.base.hours import aware, iso, naive
from activity_audit.base.vocabulary import FACT
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import DELETION
from activity_audit.upkeep.retention.plan import DueBatch

# A clock that jumped writes its own time into what lands under it, so that is believed only after so long.
_BELIEVED_AFTER = timedelta(days=1)


def clock_doubt(connection: duckdb.DuckDBPyConnection, now: datetime, bound: timedelta) -> str | None:
    """One sentence if `now` (aware) is further than `bound` ahead of the newest data; None if it is not.

    The newest data is the newest feed hour that had records when it landed, or the newest landing of a day ago or
    more. The product's own feed does not count: its hours are this clock's. The connection has `audit` attached.
    """
    newest = _newest_data(connection, now)
    if newest is None or now - newest <= bound:
        return None
    return (
        f"the clock says {iso(now)}, {(now - newest).days} days after the newest data ({iso(newest)}), "
        "so nothing is deleted or expired; correct the clock, or, if it is right, run `audit maintain "
        "--trust-clock` once (AUDIT_MAX_CLOCK_LEAD is the limit)"
    )


def share_doubt(connection: duckdb.DuckDBPyConnection, due: Collection[DueBatch], bound: float) -> str | None:
    """One sentence if more than this share (0 to 1) of all feed hours, or of all events, is due; None if not."""
    if not due:
        return None
    hours = len({batch.digest.key[:2] for batch in due})
    events = sum(batch.digest.accepted for batch in due)
    all_hours, all_events = _in_all(connection)
    if hours <= bound * all_hours and events <= bound * all_events:
        return None
    return (
        f"retention would delete {hours} of {all_hours} feed hours, with {events} of {all_events} "
        f"events, at once, which is more than AUDIT_RETENTION_MAX_SHARE={bound:g} allows, so nothing "
        "is deleted; check AUDIT_RETENTION and `audit maintain --dry-run`, and if this is intended, "
        "run `audit maintain --allow-large-deletion` once"
    )


def _newest_data(connection: duckdb.DuckDBPyConnection, now: datetime) -> datetime | None:
    ((hour, landed, first),) = connection.execute(
        """
        select
            max(least(feed_hour_utc + interval 1 hour, landed_at_utc)),
            max(landed_at_utc) filter (landed_at_utc <= $before),
            min(landed_at_utc)
        from audit.quality.feed_delivery where feed <> $own and received > 0
        """,
        {"before": naive(now - _BELIEVED_AFTER), "own": catalogue.OWN_FEED},
    ).fetchall()
    return None if hour is None else aware(max(hour, landed or first))


def _in_all(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """How many feed hours there are that are not deleted, and how many events."""
    return connection.execute(
        f"""
        select
            (
                select count(*) from (
                    select distinct feed, feed_hour_utc
                    from audit.quality.feed_delivery
                    anti join (
                        select feed, feed_hour_utc, run_id from audit.{ledger.TABLE} where kind = '{DELETION}'
                    ) as deleted using (feed, feed_hour_utc, run_id)
                )
            ),
            (select count(*) from {FACT})
        """
    ).fetchall()[0]
