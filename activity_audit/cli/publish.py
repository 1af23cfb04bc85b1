"""`audit publish`: copies of the warehouse for tools that do not read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from activity_audit.cli.output import OUTPUT, print_json, print_table, say
from activity_audit.settings.core import Settings

if TYPE_CHECKING:
    from activity_audit.serving.published import Published


@click.command("publish")
@click.option(
    "--to",
    "targets",
    multiple=True,
    metavar="URL|FILE",
    help="postgresql://user@host/database, a file that ends in .duckdb, or iceberg:FOLDER; may be repeated. "
    "Default: AUDIT_PUBLISH_TO.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 36_500),
    help="Copy the events of the newest days; default: as many as the copy has, 90 for a new one.",
)
@click.option("--whole", is_flag=True, help="Write all rows again, for a copy that somebody changed.")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(settings: Settings, targets: tuple[str, ...], days: int | None, whole: bool, output: str) -> None:
    """Bring copies for other tools up to date.

    They are in PostgreSQL, in a DuckDB file, or in Iceberg's format.
    A copy has the dimensions, the hourly counts, the quality tables and the newest events. Its readers see one snapshot
    or the next.

    The exit code is 1 if a copy could not be brought up to date.
    """
    from activity_audit.serving.published import How, ServingError
    from activity_audit.serving.serve import bring_up_to_date
    from activity_audit.serving.target import parse
    from activity_audit.warehouse.lake import WarehouseError

    try:
        chosen = [parse(text) for text in targets or settings.publish_to]
    except ValueError as error:
        raise click.UsageError(f"--to {error}") from None
    if not chosen:
        raise click.UsageError("name a copy with --to, or set AUDIT_PUBLISH_TO")
    done: list[Published] = []
    failed: list[str] = []
    for target in chosen:
        try:
            done.append(bring_up_to_date(settings, target, How(days, whole)))
        except ServingError as error:
            failed.append(str(error))
        except WarehouseError as error:
            raise click.ClickException(str(error)) from None
    if output == "json":
        print_json({"copies": [one.as_dict() for one in done], "errors": failed})
    else:
        for one in done:
            _print(one)
    for sentence in failed:
        say(f"Error: {sentence}", err=True)
    if failed:
        raise click.exceptions.Exit(1)


def _print(done: Published) -> None:
    state = done.state
    if done.is_unchanged:
        say(f"{done.target} is up to date: it has snapshot {state.snapshot_id}.")
        return
    tables = sorted(done.added.keys() | done.removed.keys())
    rows = [[name, done.added.get(name, 0), done.removed.get(name, 0)] for name in tables]
    how = "written whole" if done.is_whole else "brought up to date"
    print_table(["table", "rows added", "rows removed"], rows, f"{done.target}: {how}")
    say(f"It has snapshot {state.snapshot_id}, of run {state.run_id}.")
    if state.events_left_out:
        say(
            f"It has the events since {state.events_from_utc:%Y-%m-%d}, which are {state.days} days; "
            f"{state.events_left_out} older events are left out."
        )
