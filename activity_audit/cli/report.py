"""`audit report`: the report as a web page."""

from __future__ import annotations

import click

from activity_audit.cli.output import say
from activity_audit.settings.core import Settings, SettingsError


@click.command("report")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.pass_obj
def command(settings: Settings, host: str, port: int) -> None:
    """Serve the report as a web page, and print its link."""
    from activity_audit.report.access.users import UsersFileError
    from activity_audit.report.web.server import PortTakenError, Served, serve

    def start(served: Served) -> None:
        say(f"Report: {served.url}   (Ctrl-C stops)")

    try:
        serve(settings, host, port, start)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except (PortTakenError, UsersFileError) as error:
        raise click.ClickException(str(error)) from None
