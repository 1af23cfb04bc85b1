"""`audit maintain`: apply retention, and keep the warehouse small and fast."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from activity_audit.base.catalogue import feed_title
from activity_audit.cli.output import OUTPUT, print_json, print_table, say, warn
from activity_audit.settings.core import Settings

if TYPE_CHECKING:
    from activity_audit.ledger.holds import HeldHour
    from activity_audit.upkeep.maintenance import Upkeep

_MOST_LINES = 50


@click.command("maintain")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and change nothing.")
@click.option("--trust-clock", is_flag=True, help="Trust the clock although it is far ahead of the newest data.")
@click.option("--allow-large-deletion", is_flag=True, help="Delete more than AUDIT_RETENTION_MAX_SHARE at once.")
@click.option("--remove-leftovers", is_flag=True, help="Remove data files of killed runs, which belong to no snapshot.")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(
    settings: Settings,
    dry_run: bool,
    trust_clock: bool,
    allow_large_deletion: bool,
    remove_leftovers: bool,
    output: str,
) -> None:
    """Apply retention, merge small files, expire old snapshots.

    AUDIT_RETENTION and AUDIT_SNAPSHOT_RETENTION say what is old.

    The exit code is 1 if something stays because it differs from what was recorded, or is protected from mistakes.
    """
    from activity_audit.upkeep.maintenance import Allowed, maintain, preview
    from activity_audit.warehouse.lake import WarehouseError
    from activity_audit.warehouse.run_lock import WarehouseBusyError
    from orchestration.old_runs import forget_old_runs

    allowed = Allowed(trust_clock, allow_large_deletion, remove_leftovers)
    try:
        upkeep = preview(settings, allowed) if dry_run else maintain(settings, allowed, forget_old_runs)
    except (WarehouseError, WarehouseBusyError) as error:
        raise click.ClickException(str(error)) from None
    if output == "json":
        print_json(upkeep.as_dict())
    else:
        _print(upkeep, dry_run)
    warn(upkeep.warnings)
    for doubt in upkeep.doubts:
        say(f"Error: {doubt}", err=True)
    if upkeep.refused:
        raise click.exceptions.Exit(1)


def _print(upkeep: Upkeep, dry_run: bool) -> None:
    from activity_audit.upkeep.retention.report import by_feed

    plan = upkeep.retention
    if totals := [[feed_title(total.feed), *list(vars(total).values())[1:]] for total in by_feed(plan.due)]:
        sums = [sum(column) for column in list(zip(*totals, strict=True))[2:]]
        title = "Would be deleted: past AUDIT_RETENTION" if dry_run else "Deleted: past AUDIT_RETENTION"
        columns = ["feed", "retention", "hours", "events", "quarantined", "raw files", "bytes"]
        print_table(columns, [*totals, ["total", "", *sums]], title)
    if plan.held:
        print_table(["feed", "holds", "hours", "first hour", "last hour"], _held(plan.held), "Kept by a legal hold")
    if plan.unrecorded:
        rows = [
            [f"{hour:%Y-%m-%dT%H:%MZ}", feed_title(feed), run_id]
            for feed, hour, run_id in plan.unrecorded[:_MOST_LINES]
        ]
        print_table(["hour", "feed", "run"], rows, "Kept until the next run records them in the ledger")
        _more(len(plan.unrecorded))
    if plan.differing:
        rows = [[f.layer, f.problem, f.what, f.detail] for f in plan.differing[:_MOST_LINES]]
        print_table(
            ["layer", "problem", "what", "detail"], rows, "Kept: differs from what was recorded; see `audit verify`"
        )
        _more(len(plan.differing))
    print_table(["what", "count"], list(upkeep.counts.items()))


def _held(hours: Iterable[HeldHour]) -> list[list[object]]:
    """A row for each feed and the holds that keep its hours."""
    groups: dict[tuple[str, str], list[HeldHour]] = {}
    for hour in hours:
        groups.setdefault((hour.feed, ", ".join(hour.holds)), []).append(hour)
    return [
        [feed_title(feed), holds, len(held), held[0].feed_hour_utc, held[-1].feed_hour_utc]
        for (feed, holds), held in sorted(groups.items())
    ]


def _more(number: int) -> None:
    if number > _MOST_LINES:
        say(f"... and {number - _MOST_LINES} more with --output json")
