"""`audit replay`: judge quarantined records again, and say what became of them."""

from __future__ import annotations

from typing import Any

import click

from activity_audit.base.catalogue import feed_title
from activity_audit.cli.dagster_runs import bury_dead_runs, error_of, execute
from activity_audit.cli.options import known_feeds
from activity_audit.cli.output import OUTPUT, print_json, print_table, say
from activity_audit.settings.core import Settings
from activity_audit.warehouse.quarantine import REASONS

_MOST_LINES = 20


@click.command("replay")
@click.option(
    "--reason",
    type=click.Choice(REASONS),
    metavar="REASON",
    help="Only records that have this reason now.",
)
@click.option("--feed", metavar="SLUG", help="Only records of this feed.")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(settings: Settings, reason: str | None, feed: str | None, output: str) -> None:
    """Judge quarantined records again.

    It uses the current settings, catalogue and release.
    """
    from activity_audit.warehouse import lake

    known_feeds([feed] if feed else [])
    try:
        lake.require_published(settings)
    except lake.WarehouseError as error:
        raise click.ClickException(str(error)) from None
    bury_dead_runs(settings)
    report = _execute(settings, {"reason": reason, "feed": feed})
    if output == "json":
        print_json(report)
    else:
        _print(report)


def _execute(settings: Settings, chosen: dict[str, str | None]) -> dict[str, Any]:
    from activity_audit.cli.dagster_runs import ProgressBar
    from orchestration import instance as dagster_instance
    from orchestration.definitions import build_definitions
    from orchestration.jobs import JUDGE_AGAIN, REPLAY

    with ProgressBar(1) as bar, dagster_instance.instance(settings) as instance:
        definitions = build_definitions(settings, watching=False, progress=bar)
        bar.begin_replay()
        job = definitions.resolve_job_def(REPLAY)
        result = execute(job, instance, {"ops": {JUDGE_AGAIN: {"config": chosen}}})
    if not result.success:
        raise click.ClickException(f"replay {result.run_id} failed: {error_of(result, settings)}")
    return result.output_for_node(JUDGE_AGAIN)


def _print(report: dict[str, Any]) -> None:
    _print_records(report)
    for change in report["catalogue"][:_MOST_LINES]:
        say(f"{change['table']}: {change['change']}: {change['name']}")
    if len(report["catalogue"]) > _MOST_LINES:
        say(f"... and {len(report['catalogue']) - _MOST_LINES} more changes of the catalogue")
    if report["cut_off"]:
        say(
            f"{report['cut_off']} records are too large to be judged: only their beginning was kept. Raise "
            "AUDIT_MAX_RECORD_BYTES, and deliver their files again under another name."
        )
    for warning in report["warnings"]:
        say(f"warning: {warning}", fg="yellow")
    judged, remaining = report["judged"], report["remaining"]
    if report["run_id"] is None:
        say(f"Nothing changed: {judged} records were judged again, {remaining} remain in quarantine.")
        return
    say(
        (
            f"{judged} records were judged again: {report['accepted']} accepted, {report['duplicate']} "
            f"duplicate, {remaining} remain in quarantine, {report['changed']} of them for other reasons."
        ),
        f"Published as run {report['run_id']}: {', '.join(report['tables'])}",
    )


def _print_records(report: dict[str, Any]) -> None:
    if rows := report["resolved_by_reasons"]:
        body = [[feed_title(row["feed"]), " ".join(row["reasons"]), row["accepted"], row["duplicate"]] for row in rows]
        print_table(["feed", "were in quarantine for", "accepted", "duplicate"], body, "Resolved")
    if rows := report["changed_by_reasons"]:
        body = [
            [feed_title(row["feed"]), " ".join(row["reasons_before"]), " ".join(row["reasons_after"]), row["records"]]
            for row in rows
        ]
        print_table(["feed", "were in quarantine for", "are now for", "records"], body, "Other reasons")
    if rows := report["remaining_by_reason"]:
        print_table(["reason", "records"], [[row["reason"], row["records"]] for row in rows], "Remaining")
