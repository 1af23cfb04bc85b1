"""What `audit status` says: the verdicts on the warehouse and on its home, with the figures behind them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

import duckdb

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, naive, now_utc
from activity_audit.ingest.landing import open_index
from activity_audit.ingest.set_aside import SetAside, SetAsides
from activity_audit.ingest.waiting import Waiting
from activity_audit.ledger import head
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from activity_audit.warehouse import coverage, lake, verdicts
from activity_audit.warehouse.coverage import Coverage
from activity_audit.warehouse.quarantine import unresolved
from activity_audit.warehouse.verdicts import Verdict


def status(settings: Settings) -> dict[str, Any]:
    """The state as data: `verdicts` on each area, and `level`, the worst of them.

    `broken` lists the promises that do not hold, one sentence each, `unknown` what is not known.

    Raises:
        WarehouseError: if nothing is published yet.
    """
    with lake.reader(settings) as connection:
        found = verdicts.now_judged(coverage.rows_of(connection), settings, now_utc())
        lacking = gaps(connection, found.recent)
        reasons = lake.rows(
            connection,
            f"""
            select reason, count(*) as records
            from (select unnest(reasons) as reason from ({unresolved(connection)}))
            group by reason order by records desc, reason
            """,
        )
        checks = lake.rows(
            connection,
            """
            select title, severity, is_blocking, success, unexpected_count, evaluated_count
            from quality.validation_result where run_id = ? order by success, severity, title
            """,
            [found.checked_run_id],
        )
        (events,) = lake.rows(connection, "select count(*) as events from fact_activity_event")
        aside = set_aside(settings, catalogue.slugs())
        forgotten = _forgotten(settings, connection)
        judged = [*found.verdicts, *_of_home(settings, aside, forgotten, head.not_kept(connection, settings))]
    run = {"run_id": found.checked_run_id, "validated_at_utc": found.checked_at}
    covered = found.coverage or Coverage()
    return {
        "last_feed_hour_utc": found.data_through and found.data_through - HOUR,
        **events,
        "quarantined": found.quarantined,
        "catalogue_drift": found.drift,
        "acknowledged_drift": found.acknowledged,
        "unpublished_deliveries": forgotten,
        "last_run": run if found.checked_run_id else None,
        "gaps": lacking,
        "coverage": asdict(covered),
        "set_aside": [shown(one) for one in aside],
        "reasons": reasons,
        "checks": checks,
        "level": verdicts.worst(one.level for one in judged),
        "verdicts": [{"area": one.area, "level": one.level, "answer": one.answer} for one in judged],
        "broken": [one.answer for one in judged if one.breaks_promise],
        "unknown": [text for level, text in covered.parts if level == "unknown"],
    }


def gaps(connection: duckdb.DuckDBPyConnection, recent: tuple[datetime, datetime] | None) -> list[dict[str, Any]]:
    """The feed hours of a period, of the newest days most often, that are missing or incomplete; the newest first."""
    return lake.rows(
        connection,
        """
        select status, feed, feed_hour_utc, detail from quality.feed_reconciliation
        where status <> 'balanced' and feed_hour_utc >= ? and feed_hour_utc < ?
        order by feed_hour_utc desc, feed
        """,
        [naive(end) for end in recent] if recent else [None, None],
    )


def set_aside(
    settings: Settings, feeds: Collection[str], window: tuple[datetime, datetime] | None = None
) -> list[SetAside]:
    """What is set aside of these feeds, in the half-open window of feed hours or in all, and still at its source."""
    return [one for one in SetAsides(raw_lake(settings)).all(feeds, window) if not one.gone_at]


def shown(one: SetAside) -> dict[str, Any]:
    """Something that is set aside, as data."""
    return {
        "feed": one.feed,
        "feed_hour_utc": one.feed_hour and naive(one.feed_hour),
        "source_uri": one.source_uri,
        "reason": one.reason,
        "first_seen_utc": naive(one.first_seen),
        "last_seen_utc": naive(one.last_seen),
    }


def _forgotten(settings: Settings, connection: duckdb.DuckDBPyConnection) -> int:
    """How many deliveries were landed longer ago than AUDIT_FRESHNESS and are not published, whatever ran since."""
    raw = raw_lake(settings)
    open_index(raw)
    # These are told of by themselves.
    aside = {one.delivery_id for one in SetAsides(raw).all(catalogue.slugs())}
    waiting = Waiting(raw)
    waiting.look(connection)
    return waiting.count(now_utc() - settings.freshness, aside)


def _of_home(settings: Settings, aside: list[SetAside], waiting: int, head_not_kept: str | None) -> Iterator[Verdict]:
    """What is wrong and not in the lake, so that only who has the home can say it."""
    if aside:
        answer = (
            f"{len(aside)} deliveries or folders are set aside, the first is {aside[0].source_uri}: {aside[0].reason}; "
            "`audit run` tries them again; correct or remove them at the source"
        )
        yield Verdict("Set aside", "Can everything that came be processed?", "bad", answer, breaks_promise=True)
    if waiting:
        answer = (
            f"{waiting} deliveries were landed more than {settings.freshness} ago and are not published; `audit run` "
            "publishes them, or says why it cannot"
        )
        yield Verdict("Landed", "Is what was landed published?", "bad", answer, breaks_promise=True)
    if head_not_kept:
        yield Verdict("Ledger", "Is its head kept elsewhere too?", "bad", head_not_kept, breaks_promise=True)
