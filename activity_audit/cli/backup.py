"""`audit backup`: the home, the warehouse and the raw lake to another place, a few generations of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from activity_audit.base.masking import without_secrets
from activity_audit.cli.output import OUTPUT, print_json, print_table, say, warn
from activity_audit.settings.core import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from activity_audit.upkeep.backup.place import Backup


@click.command("backup")
@click.option("--to", help="The place of backups: a folder or any URL.  [default: AUDIT_BACKUP_TO]")
@click.option("--keep", type=click.IntRange(1), help="How many backups are kept.  [default: AUDIT_BACKUP_KEEP]")
@click.option("--list", "is_list", is_flag=True, help="List the backups that are there, and make none.")
@click.option("--check", "is_check", is_flag=True, help="Read all backups and compare every hash, and make none.")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(settings: Settings, to: str | None, keep: int | None, is_list: bool, is_check: bool, output: str) -> None:
    """Back up the home and the warehouse, or list backups.

    It is consistent while runs go on, and copies only files that no backup has yet. If it is stopped or killed, there
    is no new backup; repeat it.

    The exit code is 1 if --check finds a damaged file.
    """
    from activity_audit.metrics.exposition import write_file
    from activity_audit.pipeline.notes import note
    from activity_audit.upkeep.backup.check import check, whole_backups
    from activity_audit.upkeep.backup.make import backup
    from activity_audit.warehouse.lake import WarehouseError
    from activity_audit.warehouse.run_lock import WarehouseBusyError

    if is_list and is_check:
        raise click.UsageError("--list and --check exclude each other")
    try:
        settings = load_settings(
            backup_to=to or settings.backup_to, backup_keep=settings.backup_keep if keep is None else keep
        )
        if is_list:
            _print(whole_backups(settings), output)
        elif is_check:
            _print_check(*check(settings), output)
        else:
            with _told_if_it_fails(settings):
                made = backup(settings, lambda step: say(f"{step} …", err=True))
            note(settings, "backup", {"id": made.backup.id})
            warn([*made.warnings, *write_file(settings)])
            if output == "json":
                print_json(asdict(made.backup) | {"removed": made.removed, "warnings": made.warnings})
            else:
                _print([made.backup], output)
                say(f"The backup {made.backup.id} is whole; {len(made.removed)} older backups were removed.")
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except (WarehouseError, WarehouseBusyError) as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _told_if_it_fails(settings: Settings) -> Iterator[None]:
    """Tell of an error of the block, and raise it; or that it is over."""
    from activity_audit.alerts.causes import Cause
    from activity_audit.alerts.rounds import observe

    def tell(*causes: Cause) -> None:
        warn(observe(settings, "backup_failed", causes))

    try:
        yield
    except Exception as error:
        tell(Cause("backup_failed", "backup", without_secrets(str(error))))
        raise
    tell()


def _print(backups: list[Backup], output: str) -> None:
    if output == "json":
        print_json([asdict(backup) for backup in backups])
        return
    shown = ("id", "taken_at_utc", "run_id", "ledger_head", "files", "bytes", "copied_files", "copied_bytes")
    rows = [[getattr(one, name) for name in shown] for one in backups]
    print_table([name.replace("_", " ") for name in shown], rows)


def _print_check(backups: list[Backup], damaged: list[str], output: str) -> None:
    if output == "json":
        print_json({"backups": [backup.id for backup in backups], "damaged": damaged})
    else:
        for name in damaged:
            say(f"damaged: {name}", fg="red")
        if not damaged:
            say(f"Intact: {len(backups)} backups are as they were written.", fg="green")
    if damaged:
        raise click.exceptions.Exit(1)
