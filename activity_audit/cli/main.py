"""The command group, and what every command does first: settings, and warnings about them."""

from __future__ import annotations

import gc
import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from activity_audit.base.seeds import SeedError
from activity_audit.cli import exit_codes
from activity_audit.cli.output import say, visible_lines
from activity_audit.settings.core import VARIABLES, SettingsError, load_settings
from activity_audit.settings.environment import misspelt
from activity_audit.settings.private_files import keep_private, open_doors

_COMMANDS = {
    "run": "activity_audit.cli.run",
    "simulate": "activity_audit.cli.simulate",
    "sql": "activity_audit.cli.sql",
    "export": "activity_audit.cli.export",
    "status": "activity_audit.cli.status",
    "evidence": "activity_audit.cli.evidence",
    "review": "activity_audit.cli.review",
    "verify": "activity_audit.cli.verify",
    "ledger": "activity_audit.cli.ledger",
    "replay": "activity_audit.cli.replay",
    "maintain": "activity_audit.cli.maintain",
    "report": "activity_audit.cli.report",
    "dbt": "activity_audit.cli.dbt",
    "password": "activity_audit.cli.password",
    "hold": "activity_audit.cli.hold",
    "serve": "activity_audit.cli.serve",
}


class _LazyGroup(click.Group):
    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        with _visible_errors():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _visible_errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        return importlib.import_module(module).command if module else None


@contextmanager
def _visible_errors() -> Iterator[None]:
    """Errors quote what was given, and what sources sent."""
    try:
        yield
    except click.ClickException as error:
        vars(error).update(message=visible_lines(error.message))
        raise


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="activity-audit")
@click.pass_context
def cli(context: click.Context) -> None:
    """An audit-activity warehouse: hourly audit feeds in, one trusted fact table out.

    Settings are AUDIT_ and CXONE_ environment variables, or lines of a .env file; see docs/operations.md.
    """
    for argument in sys.argv[1:]:
        if not argument.isascii() and argument != argument.encode(errors="replace").decode():
            raise click.UsageError(f"{argument!r} is not UTF-8")
    try:
        context.obj = load_settings()
    except SettingsError as error:
        raise click.UsageError(f"a setting is wrong\n{error}") from None
    except SeedError as error:
        raise click.UsageError(f"the catalogue is wrong\n{error}") from None
    keep_private(context.obj)
    alike = [
        f"{name} is not a setting and is ignored; did you mean {meant}?" for name, meant in misspelt(VARIABLES).items()
    ]
    for warning in (*alike, *open_doors(context.obj)):
        say(f"warning: {warning}", fg="yellow", err=True)


def main() -> None:
    """The console script."""
    warnings.simplefilter("ignore")
    # A command imports a million objects that stay, and Python would look through them all again and again.
    gc.set_threshold(50_000, 20, 20)
    sys.exit(exit_codes.run(cli))
