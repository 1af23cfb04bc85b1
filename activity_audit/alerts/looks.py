"""What is wrong with the warehouse, as causes: late feeds, stale data, blocking checks, findings of `audit verify`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from activity_audit.alerts.causes import Cause
from activity_audit.alerts.rounds import observe
from activity_audit.base.catalogue import feed_title
from activity_audit.base.hours import aware, iso, now_utc
from activity_audit.evidence.verify.findings import Report
from activity_audit.pipeline.status import gaps
from activity_audit.settings.core import Settings
from activity_audit.warehouse import coverage, lake, verdicts
from activity_audit.warehouse.verdicts import RECENT, Condition

# More findings than that are one cause, so that a lost disk is no message of a megabyte.
_MOST_FINDINGS = 100


def look_at_feeds(settings: Settings) -> list[str]:
    """Tell of feeds that are late, missing or incomplete now, and of stale data; warnings, as `observe` has them."""
    if not settings.alert_urls:
        return []
    try:
        with lake.reader(settings) as connection:
            found = verdicts.now_judged(coverage.rows_of(connection), settings, now_utc())
            late = late_feeds(found, gaps(connection, found.recent))
    except lake.NothingPublishedError:
        return []
    except lake.WarehouseError as error:
        return [f"feeds could not be looked at for alerts: {error}"]
    stale = [Cause("data_stale", "", f"{found.verdicts[0].answer}.")] if found.stale else []
    return observe(settings, "data_stale", stale) + observe(settings, "feed_late", late)


def late_feeds(found: Condition, gaps: Sequence[dict[str, Any]]) -> list[Cause]:
    """A cause for each feed that lacks hours which other feeds have; where none has them, the data are stale."""
    by_feed: dict[str, list[dict[str, Any]]] = {}
    for gap in gaps:
        if found.data_through and gap["feed_hour_utc"] < found.data_through:
            by_feed.setdefault(gap["feed"], []).append(gap)
    return [
        Cause("feed_late", feed, f"{feed_title(feed)}: {_hours(of_feed)}.") for feed, of_feed in sorted(by_feed.items())
    ]


def _hours(gaps: Sequence[dict[str, Any]]) -> str:
    hour, status, number = iso(aware(gaps[0]["feed_hour_utc"])), gaps[0]["status"], len(gaps)
    if number == 1:
        return f"the feed hour {hour} is {status}"
    return (
        f"{number} feed hours of the last {RECENT.days} days are missing or incomplete; the newest, {hour}, is {status}"
    )


def blocking_checks(settings: Settings, run_ids: Collection[str]) -> dict[str, str]:
    """Of these runs, those that blocking checks stopped, with the titles of the checks; none if nobody can say."""
    try:
        with lake.reader(settings) as connection:
            rows = connection.execute(
                "select run_id, string_agg(title, '; ' order by title) from quality.validation_result "
                "where list_contains(?, run_id) and is_blocking and not success group by run_id",
                [list(run_ids)],
            ).fetchall()
    except lake.WarehouseError:
        return {}
    return dict(rows)


def tell_of_findings(settings: Settings, report: Report, *, is_whole: bool) -> list[str]:
    """Tell of what `audit verify` found; only a look at the whole warehouse can say that something is over."""
    found = {
        f"{one.layer} {one.problem} {one.what}": f"{one.layer}: {one.what} is {one.problem}."
        for one in report.findings
        if one.severity == "error"
    }
    causes = [Cause("integrity", about, says) for about, says in list(found.items())[:_MOST_FINDINGS]]
    if len(found) > _MOST_FINDINGS:
        causes.append(Cause("integrity", "more", f"There are {len(found) - _MOST_FINDINGS} more findings."))
    return observe(settings, "integrity", causes, judged=lambda about: is_whole)
