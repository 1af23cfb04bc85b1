"""`audit restore`: a home of a backup."""

from __future__ import annotations

from dataclasses import asdict

import click

from activity_audit.cli.output import OUTPUT, print_json, print_table, say
from activity_audit.settings.core import Settings, SettingsError, load_settings


@click.command("restore")
@click.option("--from", "source", help="The place of backups: a folder or any URL.  [default: AUDIT_BACKUP_TO]")
@click.option("--backup", "wanted", metavar="ID", help="The backup, by its id.  [default: the newest]")
@click.option("--move-aside", is_flag=True, help="Rename what is in the home, and restore in its place.")
@click.option("--no-verify", is_flag=True, help="Compare the hashes of the backup alone, and not those of the ledger.")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(
    settings: Settings, source: str | None, wanted: str | None, move_aside: bool, no_verify: bool, output: str
) -> None:
    """Make a home of a backup, and verify it.

    The home, the catalog, the data and the raw lake go to where the settings say; nothing is written over. Repeat the
    command if it was interrupted: until then the home cannot be used.

    The exit code is 1 if the backup is damaged, or what is restored is not what the ledger says.
    """
    from activity_audit.evidence.verify.verify import NoLedgerError, verify
    from activity_audit.upkeep.backup.restore import restore
    from activity_audit.warehouse.lake import WarehouseError
    from activity_audit.warehouse.run_lock import WarehouseBusyError

    try:
        settings = load_settings(backup_to=source or settings.backup_to)
        done = restore(settings, wanted, move_aside=move_aside, progress=lambda step: say(f"{step} …", err=True))
        backup, report = done.backup, None
        if not no_verify:
            say("verifying …", err=True)
            try:
                report = verify(settings, None, backup.ledger_head)
            except NoLedgerError as error:
                if backup.ledger_head:
                    raise click.ClickException(
                        f"the backup {backup.id} was made of a warehouse with a ledger, whose head was "
                        f"{backup.ledger_head}, and what is restored has none: {error}. Do not use this home. Restore "
                        "another backup (--backup), or one from another copy of the place"
                    ) from None
                say(f"warning: {error}", err=True)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except (WarehouseError, WarehouseBusyError) as error:
        raise click.ClickException(str(error)) from None
    is_intact = report is None or report.intact
    if output == "json":
        verified = report.as_dict() if report else None
        print_json({"backup": asdict(backup), "moved_aside": done.moved_aside, "verified": verified})
    else:
        shown = ("id", "taken_at_utc", "run_id", "ledger_head", "files", "bytes")
        print_table(["what", "restored"], [[name.replace("_", " "), getattr(backup, name)] for name in shown])
        for path in done.moved_aside:
            say(f"What had been there is in {path}")
        for finding in report.findings if report else []:
            say(f"{finding.severity}: {finding.what}: {finding.detail}", err=True)
        if report:
            say("Verified: it is what the ledger says." if is_intact else "NOT INTACT: see `audit verify`.")
    if not is_intact:
        raise click.exceptions.Exit(1)
