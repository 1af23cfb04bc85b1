"""`audit alert`: what is open, and a message to try where alerts go."""

from __future__ import annotations

from typing import Any

import click

from activity_audit.base.faults import FaultError
from activity_audit.cli.output import OUTPUT, print_json, print_table, say
from activity_audit.settings.core import Settings


@click.group("alert")
def command() -> None:
    """Show open alerts, and try where they are sent."""


@command.command("test")
@click.pass_obj
def test(settings: Settings) -> None:
    """Send a message to every place of AUDIT_ALERT_TO.

    The exit code is 1 if one of them does not take it, or none is set.
    """
    from activity_audit.alerts.notify import Message, NotDeliveredError, targets
    from activity_audit.alerts.rounds import sender

    places = targets(settings.alert_urls)
    if not places:
        raise click.ClickException("no place is set: AUDIT_ALERT_TO or AUDIT_ALERT_TO_FILE names where alerts are sent")
    message = Message("Activity audit: a test", f"This is a test. Alerts come here.\n\nFrom {sender(settings)}")
    failed = 0
    for place in places:
        try:
            place.send(message)
        except NotDeliveredError as error:
            failed += 1
            say(f"Error: {error}", fg="red", err=True)
        else:
            say(f"{place.name} took the message.", fg="green")
    if failed:
        raise click.exceptions.Exit(1)


@command.command("list")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def list_(settings: Settings, output: str) -> None:
    """Show what is open, and what has still to be told."""
    from activity_audit.alerts.rounds import known

    try:
        found = known(settings)
    except FaultError as error:
        raise click.ClickException(str(error)) from None
    if output == "json":
        print_json([vars(alert) for alert in found])
    elif found:
        rows: list[list[Any]] = [[one.kind, one.says, one.began_at, one.over_at, one.untold or None] for one in found]
        print_table(["kind", "what", "since", "over", "places to tell"], rows, "Alerts")
    else:
        say("No alert is open.")
