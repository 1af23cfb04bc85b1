"""`audit maintain`: keep the warehouse small and fast."""

from __future__ import annotations

import click

from orchestration.cli.output import OUTPUT, print_json, print_table
from orchestration.settings import Settings


@click.command("maintain")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def command(settings: Settings, output: str) -> None:
    """Merge small files, expire snapshots older than AUDIT_SNAPSHOT_RETENTION, remove files that nothing needs."""
    from orchestration.lake import WarehouseError
    from orchestration.maintenance import maintain
    from orchestration.pipeline import WarehouseBusyError

    try:
        report = maintain(settings)
    except (WarehouseError, WarehouseBusyError) as error:
        raise click.ClickException(str(error)) from None
    if output == "json":
        print_json(report)
    else:
        print_table(["what", "count"], list(report.items()))
