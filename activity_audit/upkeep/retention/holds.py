"""Legal holds: placing and releasing them, each as a row of `quality.legal_hold` with an entry in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import duckdb

from activity_audit.base import catalogue
from activity_audit.base.hours import naive, now_utc
from activity_audit.dbt_runner import project
from activity_audit.ledger import head, ledger
from activity_audit.ledger.chain import HOLD, append
from activity_audit.ledger.holds import ALL, PLACED, RELEASED, HoldRow, digest_of, insert, rows_of, standing
from activity_audit.settings.core import Settings
from activity_audit.transform.scratch import Workbench
from activity_audit.warehouse import lake
from activity_audit.warehouse.run_lock import exclusive
from activity_audit.warehouse.tables import create_tables
from activity_audit.warehouse.transactions import snapshot_now, transaction

_ID_LENGTH = 8


class HoldError(ValueError):
    """A hold cannot be placed or released as asked; the message says why."""


def place(
    settings: Settings, application: str, start: datetime, end: datetime, reason: str, by: str
) -> tuple[HoldRow, str | None]:
    """Hold what an application (its name, its slug, or `all`) did in [start, end), aware UTC times.

    Returns the row, and a warning where the ledger's head could not be kept outside.

    Raises:
        HoldError: if there is no such application.
        NothingPublishedError: if nothing is published yet.
        WarehouseBusyError: if a run holds the warehouse for too long.
        WarehouseError: if it cannot be written, or another home published into it meanwhile.
    """

    def row(connection: duckdb.DuckDBPyConnection, known: list[HoldRow]) -> HoldRow:
        taken = {one.hold_id for one in known}
        hold_id = next(found for found in iter(lambda: uuid4().hex[:_ID_LENGTH], "") if found not in taken)
        name = _application(connection, application)
        return HoldRow(hold_id, PLACED, name, naive(start), naive(end), reason, by, naive(now_utc()))

    return _record(settings, row)


def release(settings: Settings, hold_id: str, reason: str, by: str) -> tuple[HoldRow, str | None]:
    """Let go of a hold that stands; what it returns is as for `place`.

    Raises:
        HoldError: if no such hold stands.
        NothingPublishedError: if nothing is published yet.
        WarehouseBusyError: if a run holds the warehouse for too long.
        WarehouseError: if it cannot be written, or another home published into it meanwhile.
    """

    def row(_: duckdb.DuckDBPyConnection, known: list[HoldRow]) -> HoldRow:
        held = next((one for one in standing(known) if one.hold_id == hold_id), None)
        if held is None:
            raise HoldError(f"no hold {hold_id!r} is in force; `audit hold list` shows those that are")
        return HoldRow(
            hold_id, RELEASED, held.application, held.from_utc, held.to_utc, reason, by, naive(now_utc())
        )  # fmt: skip

    return _record(settings, row)


def _record(
    settings: Settings, make: Callable[[duckdb.DuckDBPyConnection, list[HoldRow]], HoldRow]
) -> tuple[HoldRow, str | None]:
    lake.require_published(settings)
    with exclusive(settings), Workbench(settings, "hold").connect() as connection:
        create_tables(connection, project.manifest())
        since = snapshot_now(connection)
        row = make(connection, rows_of(connection))
        entries = append(ledger.newest(connection), HOLD, [digest_of(row)], row.recorded_at_utc)
        with transaction(connection, f"hold {row.hold_id} {row.action}", {}, since=since):
            insert(connection, row)
            ledger.insert(connection, f"audit.{ledger.TABLE}", entries)
        return row, head.keep(connection, settings)


def _application(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """The name by which the fact knows an application."""
    if name.strip().lower() == ALL:
        return ALL
    if slug := catalogue.slug_of(name):
        return next(known.name for known in catalogue.applications() if known.slug == slug)
    seen = [row[0] for row in connection.execute("select application from audit.main.dim_application").fetchall()]
    key = catalogue.normalised_name(name)
    found = next((known for known in sorted(seen) if catalogue.normalised_name(known) == key), None)
    if found is None:
        raise HoldError(
            f"{name!r} is not an application: neither the catalogue nor any event has it; give a slug of "
            f"the catalogue ({', '.join(catalogue.slugs())}), the name of an application, or {ALL}"
        )
    return found
