"""`audit status`: whether the data is fresh and complete, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from activity_audit.base.catalogue import feed_title
from activity_audit.cli.output import OUTPUT, print_json, print_table, say, warn
from activity_audit.cli.run_report import LEVELS, found, level
from activity_audit.settings.core import Settings

_MOST_GAPS = 20


@click.command("status")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(settings: Settings, output: str) -> None:
    """Show whether the data is fresh and complete.

    It shows the last published hour, late or missing feeds, quarantine, drift and checks. The exit code is 1
    if the data is stale or incomplete.
    """
    from activity_audit.alerts.looks import look_at_feeds
    from activity_audit.metrics.exposition import write_file
    from activity_audit.pipeline.status import status
    from activity_audit.warehouse.lake import WarehouseError

    try:
        report = status(settings)
        warn([*look_at_feeds(settings), *write_file(settings)])
    except WarehouseError as error:
        raise click.ClickException(str(error)) from None
    if output == "json":
        print_json(report)
    else:
        _print(report, settings.docs_dir / "index.html")
    if report["broken"]:
        raise click.exceptions.Exit(1)


def _print(report: dict[str, Any], docs: Path) -> None:
    from activity_audit.warehouse.verdicts import SIGNS, WORDS

    run = report["last_run"]
    print_table(
        ["area", "verdict"],
        [[one["area"], f"{SIGNS[one['level']]} {WORDS[one['level']]}"] for one in report["verdicts"]],
        f"Activity audit warehouse: {WORDS[report['level']]}",
    )
    print_table(
        ["", ""],
        [
            ["last published feed hour (UTC)", report["last_feed_hour_utc"]],
            ["events", report["events"]],
            ["records in quarantine", report["quarantined"]],
            ["undocumented entity/activity pairs", report["catalogue_drift"]],
            ["acknowledged pairs, not counted above", report["acknowledged_drift"]],
            ["last run over feed hours", run["run_id"] if run else "none"],
            ["its checks (UTC)", run["validated_at_utc"].replace(microsecond=0) if run else None],
        ],
        "Figures",
    )
    if report["gaps"]:
        rows = [
            [feed_title(g["feed"]), g["feed_hour_utc"], g["status"], g["detail"]] for g in report["gaps"][:_MOST_GAPS]
        ]
        title = f"Late, missing or incomplete feeds: {len(report['gaps'])} feed hours in the last days"
        print_table(["feed", "feed hour (UTC)", "status", "detail"], rows, title)
    if report["set_aside"]:
        rows = [[one["source_uri"], one["first_seen_utc"], one["reason"]] for one in report["set_aside"][:_MOST_GAPS]]
        title = f"Set aside, because it cannot be processed: {len(report['set_aside'])}"
        print_table(["what", "first seen (UTC)", "reason"], rows, title)
    if report["reasons"]:
        print_table(["reason", "records"], [[r["reason"], r["records"]] for r in report["reasons"]], "Quarantine")
    failed = [check for check in report["checks"] if not check["success"]]
    title, colour = found("Checks of the last run", report["checks"])
    if failed:
        print_table(
            ["check", "level", "unexpected", "of"],
            [
                [
                    c["title"],
                    level(c),
                    c["unexpected_count"],
                    c["evaluated_count"],
                ]
                for c in failed
            ],
            title,
            fg=colour,
            colours=LEVELS,
        )
    else:
        say(title, fg=colour)
    say(f"For auditors: `audit review`, and {docs}")
    for sentence in report["unknown"]:
        say(
            (
                f"NOT KNOWN, in the newest 7 days: {sentence}; `audit run --from … --to …` over these hours "
                "looks at them"
            ),
            fg="magenta",
        )
    for sentence in report["broken"]:
        say(f"BROKEN: {sentence}", fg="red")
    if not report["broken"] and not report["unknown"]:
        say("Every promise holds: the data is fresh and complete.", fg="green")
