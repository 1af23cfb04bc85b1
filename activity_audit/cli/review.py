"""`audit review`: the auditor's page of a period, as one file to open or print."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import click

from activity_audit.base import catalogue
from activity_audit.cli.options import TIME, window
from activity_audit.cli.output import say
from activity_audit.settings.core import Settings
from activity_audit.settings.private_files import for_people


@click.command("review")
@click.option("--from", "start", type=TIME, help="The first feed hour, ISO 8601 UTC; default: the last 31 days.")
@click.option("--to", "end", type=TIME, help="The end of the last feed hour (exclusive).")
@click.option("--feed", "feeds", multiple=True, type=click.Choice(catalogue.slugs()), metavar="SLUG",
              help="Only this feed; may be repeated.")  # fmt: skip
@click.option("--at", metavar="RUN_ID|TIME", help="Read the warehouse as it was after that run, or at that time (UTC).")
@click.option("--no-verify", is_flag=True, help="Skip the check of all hashes, which reads every event.")
@click.option("--to-file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="The file to write; default: review.html in the data docs.")  # fmt: skip
@click.option("--masked", is_flag=True, help="Show no text of quarantined records, which says who did what.")
@click.pass_obj
def command(
    settings: Settings,
    start: datetime | None,
    end: datetime | None,
    feeds: tuple[str, ...],
    at: str | None,
    no_verify: bool,
    to_file: Path | None,
    masked: bool,
) -> None:
    """Write the auditor's page of a period, as one HTML file.

    It shows completeness, dispositions, quarantine, drift, checks and integrity.

    The file needs nothing else, to open in a browser or to print. The exit code is 0 when the file is
    written, also if it reports problems.
    """
    from activity_audit.report.auditors.collect import collect
    from activity_audit.report.auditors.page import write
    from activity_audit.warehouse.lake import WarehouseError

    asked = window(start, end)
    target = (to_file or settings.review_file).absolute()
    try:
        review = collect(settings, asked, feeds, at, check_integrity=not no_verify, masked=masked)
    except WarehouseError as error:
        raise click.ClickException(str(error)) from None
    try:
        with for_people() if to_file else nullcontext():
            write(review, settings, target)
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from None
    say(str(target))
