"""`audit ledger`: the integrity ledger."""

from __future__ import annotations

import sys

import click

from activity_audit.cli.output import OUTPUT, print_json, say
from activity_audit.settings.core import Settings


@click.group("ledger")
def command() -> None:
    """Show the ledger of published batches."""


@command.command("head")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def head(settings: Settings, output: str) -> None:
    """Print the newest entry, to keep in another place.

    `audit verify --expect-head` compares the ledger with it later.
    """
    from activity_audit.evidence.verify.verify import NoLedgerError
    from activity_audit.ledger import ledger
    from activity_audit.ledger.head import describe, line_of
    from activity_audit.warehouse import lake

    try:
        with lake.reader(settings) as connection:
            newest = ledger.newest(connection) if ledger.is_there(connection) else None
            if newest is None:
                raise NoLedgerError
    except lake.WarehouseError as error:
        raise click.ClickException(str(error)) from None
    report = describe(newest)
    if output == "json":
        print_json(report)
        return
    # The line of AUDIT_LEDGER_HEAD_FILE, so that what is kept by hand and by runs looks alike.
    say(line_of(newest))
    if sys.stdout.isatty():
        say("Keep this line elsewhere; `audit verify --expect-head` takes its 64 digits.")
