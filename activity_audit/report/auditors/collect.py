"""Asks the warehouse everything that the page shows, in one snapshot of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from activity_audit.base.hours import aware, now_utc
from activity_audit.evidence.verify.check_ledger import Expected, expected_heads
from activity_audit.evidence.verify.verify import NoLedgerError, verify_snapshot
from activity_audit.ledger import replays
from activity_audit.report.auditors.period import Period, default_period
from activity_audit.report.auditors.queries import Query, Scope, queries
from activity_audit.settings.core import Settings
from activity_audit.warehouse import coverage, lake, spill, verdicts
from activity_audit.warehouse.coverage import Coverage
from activity_audit.warehouse.verdicts import Verdict

if TYPE_CHECKING:
    from activity_audit.evidence.verify.findings import Report


@dataclass(frozen=True)
class Review:
    """All figures of a page.

    Attributes:
        scope: the feed hours and feeds that it is about.
        expected_feeds: those of its feeds that may not be silent, by the settings of now.
        snapshot: what was read.
        asked_for: the run id or time that it was asked for by; None for the newest.
        made_at: when, UTC.
        queries: what was asked, in order.
        rows: the answers by the query's name, each a list of rows by column name.
        covered: how many feed hours of each feed were looked at, by column of the heat map (its beginning, plain UTC);
            of an earlier snapshot, as far as they were due then.
        fresh: whether the snapshot has the newest feed hour that was due when it was read.
        integrity: what `audit verify` finds in the same feed hours of the snapshot, of all feeds; None where it was not
            asked to.
        not_verified: why there is no result of it, as a sentence.
    """

    scope: Scope
    expected_feeds: tuple[str, ...]
    snapshot: lake.Snapshot
    asked_for: str | None
    made_at: datetime
    queries: list[Query]
    rows: dict[str, list[dict[str, Any]]]
    covered: dict[tuple[str, datetime], Coverage]
    fresh: Verdict
    integrity: Report | None
    not_verified: str | None

    @property
    def feeds(self) -> list[str]:
        """The feeds of the page: those that were expected or delivered something, in the order of their names."""
        return sorted({row["feed"] for row in self.rows["totals"]} | set(self.expected_feeds))


def collect(
    settings: Settings,
    window: tuple[datetime, datetime] | None = None,
    feeds: Sequence[str] = (),
    at: str | None = None,
    *,
    check_integrity: bool = True,
    masked: bool = False,
) -> Review:
    """The figures of a period, by default the 31 days up to the newest feed hour that brought something.

    A `masked` review has no raw record in it.

    Raises:
        NothingPublishedError: if no run has published anything yet.
        WarehouseError: if the warehouse cannot be reached, or has nothing `at` that run or time.
    """
    # Now, because a run may go on to add to both the file and the ledger.
    heads = expected_heads(settings.ledger_head_file, None) if at is None else None
    report: Report | None = None
    reason: str | None = "Not checked: --no-verify was given."
    with (
        spill.scratch(settings) as folder,
        lake.reader(settings, at, pinned=True) as connection,
    ):
        period = Period(*window) if window else _newest_month(connection, feeds)
        scope = Scope(period, tuple(sorted(set(feeds))))
        asked = queries(scope, has_replays=replays.is_there(connection), masked=masked)
        answers = {query.name: lake.rows(connection, query.sql) for query in asked}
        snapshot, made_at = lake.snapshot(connection), now_utc()
        read_at = min(made_at, snapshot.taken_at) if at else made_at
        whose = coverage.scope(settings.expected_feeds, feeds, read_at, settings.freshness)
        rows = coverage.rows_of(connection)
        fresh = verdicts.fresh(verdicts.state(rows).data_through, read_at, settings.freshness)
        covered = coverage.coverage_by(rows, period.start, period.end, whose, period.unit)
        if check_integrity:
            report, reason = _integrity(connection, settings, period, heads, folder)
    return Review(scope, whose.expected, snapshot, at, made_at, asked, answers, covered, fresh, report, reason)


def _newest_month(connection: duckdb.DuckDBPyConnection, feeds: Sequence[str]) -> Period:
    rows = connection.execute(
        "select min(feed_hour_utc), coalesce(max(feed_hour_utc) filter (status <> 'missing'), max(feed_hour_utc)) "
        "from quality.feed_reconciliation where len(?) = 0 or list_contains(?, feed)",
        [list(feeds), list(feeds)],
    ).fetchall()
    oldest, newest = rows[0]
    if newest is None:
        raise lake.WarehouseError("no feed hour of these feeds is published yet; name a period with --from and --to")
    return default_period(aware(oldest), aware(newest))


def _integrity(
    connection: duckdb.DuckDBPyConnection, settings: Settings, period: Period, heads: Expected | None, scratch: Path
) -> tuple[Report | None, str | None]:
    try:
        return verify_snapshot(connection, settings, [(period.start, period.end)], heads, scratch), None
    except NoLedgerError as error:
        return None, f"Not checked: {error}."
