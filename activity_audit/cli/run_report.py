"""The report at the end of `audit run`: every record's disposition, the checks, and what to look at next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from activity_audit.base.catalogue import display_name, feed_title
from activity_audit.base.hours import naive
from activity_audit.base.vocabulary import COUNTS, DISPOSITIONS
from activity_audit.cli.output import number, print_table, say
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake

_MOST_LINES = 20
_LONGEST_EXAMPLE = 80
# At which level the failure of a check counts, the worst first, in its colour.
LEVELS = {"blocks": "red", "error": "red", "warning": "yellow"}


def collect(
    settings: Settings,
    runs: list[dict[str, Any]],
    ranges: Sequence[tuple[datetime, datetime]],
    feeds: Sequence[str],
    warnings: list[str],
) -> dict[str, Any]:
    """The report as data; `audit run --output json` prints it as it is."""
    report: dict[str, Any] = {"runs": runs, "warnings": warnings, "new": {}, "reconciliation": [], "checks": []}
    try:
        _read(settings, report, ranges, feeds)
    except lake.NothingPublishedError:
        # If the first run of all failed before it could publish, there is its error and nothing else to report.
        pass
    except lake.WarehouseError as error:
        # The runs and their own errors are still to be told.
        report["warnings"] = [*warnings, f"no figures can be shown: {error}"]
    return report


def _read(
    settings: Settings,
    report: dict[str, Any],
    ranges: Sequence[tuple[datetime, datetime]],
    feeds: Sequence[str],
) -> None:
    with lake.reader(settings) as connection:
        for start, end in ranges:
            report["reconciliation"] += lake.rows(
                connection,
                "select * from quality.feed_reconciliation where feed_hour_utc >= ? and feed_hour_utc < ? "
                "and list_contains(?, feed) order by feed_hour_utc, feed",
                [naive(start), naive(end), list(feeds)],
            )
        ids = [run["run_id"] for run in report["runs"]]
        report["checks"] = lake.rows(
            connection, "select * from quality.validation_result where list_contains(?, run_id)", [ids]
        )
        report["new"] = lake.rows(
            connection,
            "select coalesce(sum(deliveries), 0)::bigint as deliveries, "
            "coalesce(sum(received), 0)::bigint as received, "
            "coalesce(sum(accepted), 0)::bigint as accepted, coalesce(sum(duplicate), 0)::bigint as duplicate, "
            "coalesce(sum(quarantined), 0)::bigint as quarantined "
            "from quality.pipeline_run where list_contains(?, run_id)",
            [ids],
        )[0]


def print_report(settings: Settings, report: dict[str, Any]) -> None:
    """The report for people."""
    if report["reconciliation"]:
        _print_reconciliation(report["reconciliation"])
    if report["checks"]:
        _print_checks(report["checks"])
    for warning in report["warnings"]:
        say(f"warning: {warning}", fg="yellow")
    failed = [run for run in report["runs"] if not run["success"]]
    # Without a warehouse there are no figures, and nothing of what follows could be looked at.
    is_published = bool(report["new"])
    if not report["runs"] and not is_published:
        _print_no_delivery(settings)
    elif not report["runs"]:
        say(f"Nothing new: every delivery{_below(settings)} is published already.")
    elif not report["new"].get("deliveries") and not failed:
        say("Nothing new in these hours: every delivery is published already.")
    elif is_published:
        new = report["new"]
        became = ", ".join(f"{number(new[name])} {name}" for name in DISPOSITIONS)
        say(
            f"New in this run: {number(new['deliveries'])} deliveries with {number(new['received'])} records: {became}."
        )
    if is_published:
        _print_next_steps(settings)
    for run in failed:
        text = f"run {run['run_id']} ({run['from']} to {run['to']}) failed: {run['error']}"
        say(*text.split("\n"), fg="red", err=True)


def _below(settings: Settings) -> str:
    return f" below {settings.feed_root}" if settings.source == "files" else ""


def _print_no_delivery(settings: Settings) -> None:
    say(f"Nothing new: no delivery{_below(settings)} has come yet, and nothing is published.", fg="yellow")
    say("", "To have some:")
    if settings.source != "files":
        say("  audit run --from … --to …   asks the source for these feed hours")
        return
    if "://" not in settings.feed_root:
        say("  audit simulate --hours 24   writes a day of feeds to try it with")
    say(
        "  put files into <feed>/<YYYY-MM-DD>/<HH>/ there, such as search/2026-05-01/10/; README.md has an example",
        (
            "  AUDIT_FEED_URL names another place to read from, AUDIT_SOURCE=cxone reads the vendor's API; "
            "see docs/feeds.md"
        ),
        "Then: audit run",
    )


def _print_reconciliation(rows: list[dict[str, Any]]) -> None:
    feeds: dict[str, dict[str, Any]] = {}
    for row in rows:
        feed = feeds.setdefault(row["feed"], dict.fromkeys((*COUNTS, "balanced", "incomplete", "missing"), 0))
        for name in COUNTS:
            feed[name] += row[name]
        feed[row["status"]] += 1
    first, last = rows[0]["feed_hour_utc"], rows[-1]["feed_hour_utc"]
    columns = ["feed", "application", *COUNTS, "hours balanced", "incomplete", "missing"]
    body = [[slug, display_name(slug), *feed.values()] for slug, feed in sorted(feeds.items())]
    body.append(["total", "", *(sum(feed[name] for feed in feeds.values()) for name in next(iter(feeds.values())))])
    title = f"Reconciliation, feed hours {first:%Y-%m-%dT%HZ} to {last:%Y-%m-%dT%HZ}"
    # Incomplete hours are named below.
    print_table(columns, body, title, optional=("offset_normalised", "application", "late", "incomplete", "missing"))
    troubled = [row for row in rows if row["status"] == "incomplete" or row["detail"]]
    for row in troubled[:_MOST_LINES]:
        say(
            f"{feed_title(row['feed'])} {row['feed_hour_utc']:%Y-%m-%dT%HZ} {row['status']}: {row['detail']}",
            fg="yellow",
        )
    if len(troubled) > _MOST_LINES:
        say(f"... and {len(troubled) - _MOST_LINES} more in quality.feed_reconciliation")


def _print_checks(checks: list[dict[str, Any]]) -> None:
    failed = [check for check in checks if not check["success"]]
    columns = ["check", "level", "unexpected", "of", "first in"]
    body = [
        [
            check["title"],
            level(check),
            check["unexpected_count"],
            check["evaluated_count"],
            _first_place(check["sample"]),
        ]
        for check in failed[:_MOST_LINES]
    ]
    title, colour = found("Checks", checks)
    if body:
        print_table(columns, body, title, fg=colour, colours=LEVELS, optional=("of", "level"))
    else:
        say(title, fg=colour)
        say("")


def _first_place(sample: str) -> str:
    """The feed and the feed hour of the first unexpected item; the item itself if it belongs to none."""
    first = next(iter(json.loads(sample)), None)
    if first is None:
        return ""
    if not first.get("feed") or not first.get("feed_hour_utc"):
        return json.dumps(first, ensure_ascii=False)[:_LONGEST_EXAMPLE]
    return f"{first['feed']} {first['feed_hour_utc'][:13]}Z"


def level(check: dict[str, Any]) -> str:
    """At which level the failure of a check counts: `blocks`, `error` or `warning`, the keys of `LEVELS`."""
    return "blocks" if check["is_blocking"] else check["severity"]


def found(what: str, checks: list[dict[str, Any]]) -> tuple[str, str]:
    """How many checks passed and how many are an error or a warning, in a sentence, and the colour of the worst."""
    levels = [level(check) for check in checks if not check["success"]]
    said = [f"{what}: {len(checks) - len(levels)} passed"]
    for name in LEVELS:
        if number := levels.count(name):
            said.append(
                f"{number} stopped a run" if name == "blocks" else f"{number} {name}{'s' if number > 1 else ''}"
            )
    return ", ".join(said), LEVELS[min(levels, key=list(LEVELS).index)] if levels else "green"


def _print_next_steps(settings: Settings) -> None:
    say(
        "",
        "Where to look next:",
        '  audit sql "select * from activity_audit_report limit 10"',
        '  audit sql "select feed, reasons, record from quality.quarantined_event limit 10"',
        "  audit status",
        "  audit review   a page for auditors, to open or print",
        f"  data docs   {settings.docs_dir / 'index.html'}",
        "  audit serve    the report as a page, and Dagster with its schedule and sensors",
    )
