"""`audit move`: a warehouse to another catalog and another place for its data."""

from __future__ import annotations

import shlex

import click

from activity_audit.cli.output import OUTPUT, print_json, print_table, say
from activity_audit.settings.core import Settings, SettingsError, load_settings


@click.command("move")
@click.option("--catalog", required=True, help="The new AUDIT_CATALOG: a SQLite file, or postgres:dbname=… host=….")
@click.option("--data-path", help="The new AUDIT_DATA_PATH: a folder or an s3:// URL.  [default: as it is]")
@click.option("--raw-path", help="The new AUDIT_RAW_PATH: a folder or any URL.  [default: as it is]")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(settings: Settings, catalog: str, data_path: str | None, raw_path: str | None, output: str) -> None:
    """Move the warehouse to another catalog, as to PostgreSQL.

    Its ledger and all snapshots stay as they are.

    Afterwards set AUDIT_CATALOG, AUDIT_DATA_PATH and AUDIT_RAW_PATH as the command says: the old place is closed. It is
    not removed. Repeat the command if it was interrupted.
    """
    from activity_audit.upkeep.move import move
    from activity_audit.warehouse.lake import WarehouseError
    from activity_audit.warehouse.run_lock import WarehouseBusyError

    try:
        data_path, raw_path = data_path or settings.data_root, raw_path or settings.raw_path
        target = load_settings(catalog=catalog, data_path=data_path, raw_path=raw_path)
        moved = move(settings, target, lambda step: say(f"{step} …", err=True))
    except SettingsError as error:
        raise click.UsageError(str(error)) from None
    except (WarehouseError, WarehouseBusyError) as error:
        raise click.ClickException(str(error)) from None
    now = {"AUDIT_CATALOG": catalog, "AUDIT_DATA_PATH": data_path} | ({"AUDIT_RAW_PATH": raw_path} if raw_path else {})
    head = moved.head.entry_sha256 if moved.head else None
    there = {name: count for name, count in vars(moved).items() if name != "head"} | {"ledger_head": head}
    if output == "json":
        print_json(there | {"settings": now})
        return
    print_table(["what", "is there now"], [[name.replace("_", " "), count] for name, count in there.items()])
    say("From now on, in every process that uses this warehouse:")
    for name, value in now.items():
        say(f"export {name}={shlex.quote(value)}")
    say("`audit verify` proves that it is the same.")
