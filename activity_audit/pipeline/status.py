"""The state of the warehouse in a few figures, and whether its promises of freshness and completeness hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, aware, floor_hour, iso, naive, now_utc
from activity_audit.ingest.landing import open_index
from activity_audit.ingest.set_aside import SetAside, SetAsides
from activity_audit.ingest.waiting import Waiting
from activity_audit.ledger import head
from activity_audit.settings.core import Settings
from activity_audit.warehouse import coverage, lake
from activity_audit.warehouse.coverage import Coverage
from activity_audit.warehouse.quarantine import unresolved

if TYPE_CHECKING:
    import duckdb

# Completeness is promised for what a user still acts on; what is older stays in quality.feed_reconciliation.
_RECENT = timedelta(days=7)


def status(settings: Settings) -> dict[str, Any]:
    """The state as data: `broken` lists the promises that do not hold, one sentence each, `unknown` what is not known.

    Raises:
        WarehouseError: if nothing is published yet.
    """
    with lake.reader(settings) as connection:
        one = lake.rows(
            connection,
            """
            select
                (
                    select max(feed_hour_utc) from quality.feed_reconciliation
                    where status <> 'missing' and feed <> ?
                ) as last_feed_hour_utc,
                (select count(*) from fact_activity_event) as events,
                (select count(*) from quality.quarantined_event where resolved_at_utc is null) as quarantined
            """,
            # That somebody reads the report does not make its data fresh.
            [catalogue.OWN_FEED],
        )[0] | _drift(connection)
        gaps = lake.rows(
            connection,
            """
            select status, feed, feed_hour_utc, detail from quality.feed_reconciliation
            where status <> 'balanced'
            and feed_hour_utc > (select max(feed_hour_utc) from quality.feed_reconciliation) - to_hours(?)
            order by feed_hour_utc desc, feed
            """,
            [int(_RECENT / HOUR)],
        )
        covered = _recent_coverage(settings, connection)
        reasons = lake.rows(
            connection,
            f"""
            select reason, count(*) as records
            from (select unnest(reasons) as reason from ({unresolved(connection)}))
            group by reason order by records desc, reason
            """,
        )
        run = lake.rows(
            connection,
            # A replay evaluates nothing of what the sources sent, and so does not stand for it.
            """
            select run_id, max(validated_at_utc) as validated_at_utc from quality.validation_result
            where suite = 'feed_contract' group by all order by validated_at_utc desc limit 1
            """,
        )
        checks = lake.rows(
            connection,
            """
            select title, severity, is_blocking, success, unexpected_count, evaluated_count
            from quality.validation_result where run_id = ? order by success, severity, title
            """,
            [run[0]["run_id"] if run else ""],
        )
        aside = set_aside(settings, catalogue.slugs())
        forgotten = _forgotten(settings, connection)
        not_kept = head.not_kept(connection, settings)
    report = one | {
        "unpublished_deliveries": forgotten,
        "last_run": run[0] if run else None,
        "gaps": gaps,
        "coverage": asdict(covered),
        "set_aside": [shown(one) for one in aside],
        "reasons": reasons,
        "checks": checks,
    }
    unknown = [text for level, text in covered.parts if level == "unknown"]
    return report | {"broken": _broken(settings, report, not_kept), "unknown": unknown}


def _recent_coverage(settings: Settings, connection: duckdb.DuckDBPyConnection) -> Coverage:
    """The coverage of the newest days, from the first feed hour that is known."""
    ends = "select min(feed_hour_utc), max(feed_hour_utc) from quality.feed_reconciliation"
    oldest, newest = connection.execute(ends).fetchall()[0]
    if newest is None:
        return Coverage()
    end = aware(newest) + HOUR
    scope = coverage.scope(settings.expected_feeds, (), now_utc(), settings.freshness)
    return coverage.coverage(coverage.asking(connection), max(aware(oldest), end - _RECENT), end, scope)


def _drift(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many undocumented pairs wait for somebody, and how many somebody has acknowledged."""
    names = connection.execute("select column_name from (describe quality.catalogue_drift)").fetchall()
    # An earlier release published the view last; the next run replaces it.
    acknowledged = "acknowledged_by is not null" if ("acknowledged_by",) in names else "false"
    query = f"""
        select
            count(*) filter (not ({acknowledged})) as catalogue_drift,
            count(*) filter ({acknowledged}) as acknowledged_drift
        from quality.catalogue_drift
    """
    return lake.rows(connection, query)[0]


def set_aside(
    settings: Settings, feeds: Collection[str], window: tuple[datetime, datetime] | None = None
) -> list[SetAside]:
    """What is set aside of these feeds, in the half-open window of feed hours or in all, and still at its source."""
    return [one for one in SetAsides(settings.raw_dir).all(feeds, window) if not one.gone_at]


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
    open_index(settings.raw_dir)
    # These are told of by themselves.
    aside = {one.delivery_id for one in SetAsides(settings.raw_dir).all(catalogue.slugs())}
    waiting = Waiting(settings.raw_dir)
    waiting.look(connection)
    return waiting.count(now_utc() - settings.freshness, aside)


def _broken(settings: Settings, report: dict[str, Any], head_not_kept: str | None) -> list[str]:
    broken = []
    last = report["last_feed_hour_utc"]
    if last is None:
        broken.append("no feed hour is published yet")
    else:
        age = floor_hour(now_utc()) - (aware(last) + HOUR)
        if age > settings.freshness:
            broken.append(
                f"the newest published feed hour is {iso(aware(last))}, which is older than AUDIT_FRESHNESS "
                f"allows ({settings.freshness})"
            )
    for kind, text in (
        ("missing", "delivered nothing"),
        ("incomplete", "are not what their manifest says, or have something set aside"),
    ):
        hours = [gap for gap in report["gaps"] if gap["status"] == kind]
        if hours:
            broken.append(f"{len(hours)} feed hours of the last {_RECENT.days} days {text}")
    if aside := report["set_aside"]:
        first = aside[0]
        broken.append(
            f"{len(aside)} deliveries or folders are set aside, the first is {first['source_uri']}: {first['reason']}; "
            "`audit run` tries them again; correct or remove them at the source"
        )
    if waiting := report["unpublished_deliveries"]:
        broken.append(
            f"{waiting} deliveries were landed more than {settings.freshness} ago and are not published; `audit run` "
            "publishes them, or says why it cannot"
        )
    blocked = [check for check in report["checks"] if check["is_blocking"] and not check["success"]]
    if blocked:
        broken.append(f"the last run published nothing: {len(blocked)} blocking checks failed")
    if head_not_kept:
        broken.append(head_not_kept)
    return broken
