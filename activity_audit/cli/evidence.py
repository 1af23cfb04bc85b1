"""`audit evidence`: a pack of chosen events and of all that proves them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from activity_audit.cli.options import MASKED, Choose, filter_options
from activity_audit.cli.output import OUTPUT, print_json, print_table, say, say_if_empty
from activity_audit.settings.core import Settings
from activity_audit.settings.private_files import for_people

if TYPE_CHECKING:
    from activity_audit.evidence.pack.pack import Pack


@click.command("evidence")
@filter_options
@click.option("--at", metavar="RUN_ID|TIME", help="Read the warehouse as it was after that run, or at that time (UTC).")
@click.option("--with-raw", is_flag=True, help="Add the raw files of the deliveries in the pack.")
@click.option(
    "--whole-ledger", is_flag=True, help="Add all entries of the ledger, which shows that no batch is left out."
)
@MASKED
@click.option(
    "--out",
    "target",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder to write; it must not exist, or be empty.",
)
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(
    settings: Settings,
    choose: Choose,
    at: str | None,
    with_raw: bool,
    whole_ledger: bool,
    masked: bool,
    target: Path,
    output: str,
) -> None:
    """Write a pack of events, and of what proves them.

    Anyone with DuckDB and sha256sum can check the pack.

    Its README.md says how. The exit code is 1 if the warehouse differs from what was published.
    """
    from activity_audit.evidence.pack.pack import Options, make_pack
    from activity_audit.warehouse.lake import WarehouseError

    if masked and with_raw:
        raise click.UsageError("--masked and --with-raw exclude each other: raw files have all that is masked")
    try:
        with for_people():
            pack = make_pack(
                settings,
                choose,
                target.absolute(),
                at,
                Options(with_raw, whole_ledger, masked),
            )
    except WarehouseError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"the pack {target} cannot be written: {error}") from None
    if output == "json":
        print_json({"folder": str(pack.folder), "sha256sums_sha256": pack.sums_sha256} | pack.about)
    else:
        _print(pack)
    if not pack.about["intact"]:
        raise click.exceptions.Exit(1)


def _print(pack: Pack) -> None:
    about = pack.about
    print_table(["in the pack", "rows"], list(about["rows"].items()))
    say(f"{pack.folder}: {about['rows']['events']} events, snapshot {about['snapshot']['id']}")
    say_if_empty(about["rows"]["events"])
    covered = about["coverage"]
    say(f"Feed hours of the period: {covered['says']}", fg=None if covered["level"] == "good" else "yellow")
    say(f"The ledger ends with entry {about['head']['sequence']}: {about['head']['entry_sha256']}")
    say(f"SHA-256 of its SHA256SUMS, to send separately: {pack.sums_sha256}")
    if about["intact"]:
        say("Intact: everything in the pack is as it was recorded.", fg="green")
    else:
        say("NOT INTACT: README.md and integrity.json in the pack list the differences.", fg="red")
