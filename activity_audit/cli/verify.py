"""`audit verify`: whether everything that was published is there and unchanged."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from activity_audit.cli.options import TIME, window
from activity_audit.cli.output import OUTPUT, print_json, print_table, say, warn
from activity_audit.settings.core import Settings

if TYPE_CHECKING:
    from activity_audit.evidence.verify.findings import Report

_MOST_LINES = 50


@click.command("verify")
@click.option("--from", "start", type=TIME, help="The first feed hour, ISO 8601 UTC.")
@click.option("--to", "end", type=TIME, help="The end of the last feed hour (exclusive).")
@click.option("--expect-head", metavar="HASH", help="The hash of an entry that `audit ledger head` printed earlier.")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(
    settings: Settings, start: datetime | None, end: datetime | None, expect_head: str | None, output: str
) -> None:
    """Recompute every hash, and name each difference.

    It checks the landed files, the raw lake, the warehouse and the ledger.

    The exit code is 1 if there is a difference.
    """
    from activity_audit.alerts.looks import tell_of_findings
    from activity_audit.evidence.verify.verify import verify
    from activity_audit.ledger.head import HASH
    from activity_audit.metrics.exposition import write_file
    from activity_audit.pipeline.notes import note
    from activity_audit.warehouse.lake import WarehouseError

    asked = window(start, end)
    expected = expect_head.strip().lower() if expect_head else None
    if expected and not HASH.fullmatch(expected):
        raise click.UsageError("--expect-head must be an entry_sha256: 64 hexadecimal digits")
    try:
        report = verify(settings, asked, expected)
    except WarehouseError as error:
        raise click.ClickException(str(error)) from None
    note(settings, "verify", {"whole": asked is None, "findings": report.errors})
    warn([*tell_of_findings(settings, report, is_whole=asked is None), *write_file(settings)])
    if output == "json":
        print_json(report.as_dict())
    else:
        _print(report)
    if not report.intact:
        raise click.exceptions.Exit(1)


def _print(report: Report) -> None:
    print_table(["checked", "count"], list(report.counts.items()))
    if report.findings:
        rows = [[f.severity, f.layer, f.problem, f.what, f.detail] for f in report.findings[:_MOST_LINES]]
        print_table(["", "layer", "problem", "what", "detail"], rows, "Findings")
        if len(report.findings) > _MOST_LINES:
            say(f"... and {len(report.findings) - _MOST_LINES} more with --output json")
    if report.head:
        say(f"The ledger ends with entry {report.head['sequence']}: {report.head['entry_sha256']}")
    if report.errors:
        say(f"NOT INTACT: {report.errors} findings.", fg="red")
    else:
        say("Intact: everything that was checked is as it was recorded.", fg="green")
