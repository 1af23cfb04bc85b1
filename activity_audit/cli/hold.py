"""`audit hold`: legal holds, which keep feed hours from being deleted by retention."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from activity_audit.cli.options import TIME
from activity_audit.cli.output import OUTPUT, print_json, print_table, say
from activity_audit.settings.core import Settings

if TYPE_CHECKING:
    from activity_audit.ledger.holds import HoldRow


@click.group("hold")
def command() -> None:
    """Place, release and list legal holds.

    AUDIT_RETENTION deletes nothing that a hold covers.
    """


def _word(_: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("must not be empty", param=parameter)
    return value.strip()


@command.command("place")
@click.option("--application", required=True, callback=_word, help="The application's name or slug, or all.")
@click.option("--from", "start", type=TIME, required=True, help="The start of the period, ISO 8601 UTC.")
@click.option("--to", "end", type=TIME, required=True, help="The end of the period (exclusive).")
@click.option("--reason", required=True, callback=_word, help="The reason, such as the number of the legal matter.")
@click.option("--by", required=True, callback=_word, help="The person who ordered it.")
@click.pass_obj
def place(settings: Settings, application: str, start: datetime, end: datetime, reason: str, by: str) -> None:
    """Place a hold on an application and a period."""
    from activity_audit.upkeep.retention import holds

    if start >= end:
        raise click.UsageError("--from must be earlier than --to; the period is half-open, [from, to)")
    row = _recorded(lambda: holds.place(settings, application, start, end, reason, by))
    say(f"Hold {row.hold_id} is placed on {row.application}, {row.from_utc:%Y-%m-%dT%H:%M:%SZ} to "
               f"{row.to_utc:%Y-%m-%dT%H:%M:%SZ}.")  # fmt: skip


@command.command("release")
@click.argument("hold_id")
@click.option("--reason", required=True, callback=_word, help="The reason why the hold is no longer needed.")
@click.option("--by", required=True, callback=_word, help="The person who ordered it.")
@click.pass_obj
def release(settings: Settings, hold_id: str, reason: str, by: str) -> None:
    """Release a hold.

    The next `audit maintain` then deletes what is past its retention.
    """
    from activity_audit.upkeep.retention import holds

    row = _recorded(lambda: holds.release(settings, hold_id, reason, by))
    say(f"Hold {row.hold_id} on {row.application} is released.")


@command.command("list")
@click.option("--output", type=OUTPUT, default="table", show_default=True)
@click.pass_obj
def list_holds(settings: Settings, output: str) -> None:
    """List all holds, also released ones."""
    from activity_audit.ledger.holds import rows_of
    from activity_audit.warehouse import lake

    try:
        with lake.reader(settings) as connection:
            rows = rows_of(connection)
    except lake.WarehouseError as error:
        raise click.ClickException(str(error)) from None
    holds = _as_holds(rows)
    if output == "json":
        print_json(holds)
    elif holds:
        print_table(list(holds[0]), [list(hold.values()) for hold in holds])
    else:
        say("No hold was ever placed.")


def _as_holds(rows: list[HoldRow]) -> list[dict[str, Any]]:
    """A line for each hold: its placing, and its release if there was one."""
    from activity_audit.ledger.holds import PLACED, RELEASED

    released = {row.hold_id: row for row in rows if row.action == RELEASED}
    return [
        {
            "hold_id": row.hold_id,
            "stands": row.hold_id not in released,
            "application": row.application,
            "from_utc": row.from_utc,
            "to_utc": row.to_utc,
            "reason": row.reason,
            "placed_by": row.by_whom,
            "placed_at_utc": row.recorded_at_utc,
            "released_because": end.reason if (end := released.get(row.hold_id)) else None,
            "released_by": end.by_whom if end else None,
            "released_at_utc": end.recorded_at_utc if end else None,
        }
        for row in rows
        if row.action == PLACED
    ]


def _recorded(record: Callable[[], tuple[HoldRow, str | None]]) -> HoldRow:
    from activity_audit.upkeep.retention.holds import HoldError
    from activity_audit.warehouse.lake import WarehouseError
    from activity_audit.warehouse.run_lock import WarehouseBusyError

    try:
        row, warning = record()
    except HoldError as error:
        raise click.UsageError(str(error)) from None
    except (WarehouseError, WarehouseBusyError) as error:
        raise click.ClickException(str(error)) from None
    if warning:
        say(f"warning: {warning}", err=True)
    return row
