"""The command group: loads the settings, and warns about them, before each command."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from activity_audit.base import json_log
from activity_audit.base.seeds import SeedError
from activity_audit.cli import exit_codes
from activity_audit.cli.output import visible_lines, warn
from activity_audit.settings.core import SECRETS, VARIABLES, SettingsError, load_settings
from activity_audit.settings.environment import misspelt
from activity_audit.settings.private_files import keep_private, open_doors
from activity_audit.warehouse.home_record import why_newer

# Each is a module of this package, which is imported when the command is run. So `audit --help` imports none.
COMMANDS = {
    "run": "Ingest, check and publish feed hours.",
    "simulate": "Write feeds to try the product with.",
    "sql": "Run one SELECT on the warehouse.",
    "export": "Write the events of a period to a CSV, XLSX or Parquet file.",
    "deliver": "Deliver the saved reports that are due, and ask questions.",
    "publish": "Bring copies for other tools up to date.",
    "status": "Show whether the data is fresh and complete.",
    "evidence": "Write a pack of events, and of what proves them.",
    "review": "Write the auditor's page of a period, as one HTML file.",
    "verify": "Recompute every hash, and name each difference.",
    "ledger": "Show the ledger of published batches.",
    "replay": "Judge quarantined records again.",
    "maintain": "Apply retention, merge small files, expire old snapshots.",
    "alert": "Show open alerts, and try where they are sent.",
    "report": "Serve the report as a web page, and print its link.",
    "link": "Print a fresh link to the report that is running.",
    "dbt": "Run dbt by hand, on the project of this release.",
    "password": "Print an entry of AUDIT_REPORT_USERS_FILE.",
    "hold": "Place, release and list legal holds.",
    "backup": "Back up the home and the warehouse, or list backups.",
    "restore": "Make a home of a backup, and verify it.",
    "move": "Move the warehouse to another catalog, as to PostgreSQL.",
    "serve": "Start the report, and Dagster with its schedule.",
}


class _LazyGroup(click.Group):
    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        with _visible_errors():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _visible_errors():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"activity_audit.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


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
    if context.obj.log == "json":
        # A .env may say so; what this process starts reads the environment first.
        os.environ[json_log.SETTING] = "json"
    json_log.begin()
    keep_private(context.obj)
    if newer := why_newer(context.obj):
        raise click.ClickException(newer)
    alike = [
        f"{name} is not a setting and is ignored; did you mean {meant}?"
        for name, meant in misspelt(VARIABLES, SECRETS).items()
    ]
    warn((*alike, *open_doors(context.obj)))


def main() -> None:
    """The console script."""
    warnings.simplefilter("ignore")
    # A command imports a million objects that stay, and Python would look through them all again and again.
    gc.set_threshold(50_000, 20, 20)
    sys.exit(exit_codes.run(cli))
