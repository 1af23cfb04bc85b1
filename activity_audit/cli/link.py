"""`audit link`: the way into the report that is running."""

from __future__ import annotations

import click

from activity_audit.cli.output import say
from activity_audit.settings.core import Settings


@click.command("link")
@click.pass_obj
def command(settings: Settings) -> None:
    """Print a fresh link to the report that is running.

    The link signs in once, for a while (AUDIT_REPORT_TOKEN_LIFE). Where readers sign in by a name, it is the report's
    address.
    """
    from activity_audit.report.web.running import links

    try:
        found = links(settings)
    except PermissionError:
        raise click.ClickException("another user runs the report of this home, and only they can have a link") from None
    if not found:
        raise click.ClickException(
            f"no report is running on {settings.home}; start one with `audit report` or `audit serve`"
        )
    say(*found)
