"""`audit export`: the report as a file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from activity_audit.base.hours import now_utc
from activity_audit.cli.options import MASKED, Choose, filter_options
from activity_audit.cli.output import OUTPUT, print_json, print_table, say_if_empty
from activity_audit.settings.core import Settings
from activity_audit.settings.private_files import for_people


@click.command("export")
@filter_options
@click.option(
    "--to-file",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    metavar="FILE",
    help="Ends in .csv, .xlsx or .parquet.",
)
@click.option("--at", metavar="RUN_ID|TIME", help="Export the report as it was after that run, or at that time (UTC).")
@MASKED
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(
    settings: Settings,
    choose: Choose,
    target: Path,
    at: str | None,
    masked: bool,
    output: str,
) -> None:
    """Write the events of a period to a CSV, XLSX or Parquet file.

    Events are newest first. The file says which filters, period and snapshot it has, how complete
    the period is, and when it was made.
    """
    from activity_audit.report.export.export import FORMATS, expected_rows, export
    from activity_audit.warehouse import lake

    if target.suffix.lower() not in FORMATS:
        raise click.UsageError(f"--to-file {target} must end in one of {', '.join(FORMATS)}")
    if not target.parent.is_dir():
        raise click.UsageError(f"--to-file {target}: the folder {target.parent} does not exist")
    try:
        with lake.reader(settings, at, pinned=True) as connection:
            chosen = choose(connection)
            with (
                click.progressbar(
                    length=expected_rows(connection, chosen),
                    label="writing",
                    file=sys.stderr,
                    hidden=not sys.stderr.isatty(),
                ) as bar,
                for_people(),
            ):
                about = export(connection, settings, chosen, target, now_utc(), bar.update, masked=masked)
    except lake.WarehouseError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror or error}") from None
    if output == "json":
        print_json({"file": str(target)} | about.as_dict())
    else:
        print_table(["what", "value"], [("File", str(target)), *about.as_texts().items()])
        say_if_empty(about.rows)
