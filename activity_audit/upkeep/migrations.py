"""Brings a home and its warehouse from the version that is recorded to that of this release, step by step.

A step is added at the end, for each change of what is kept (see `home_version`). Public tables and columns that are
only added need no code in it: `warehouse.tables` makes them as the dbt project declares them. A step may find that it
was killed after its work and before its version was recorded, so it looks first, and changes the warehouse in one
transaction (`warehouse.transactions`). It raises CannotMigrateError where it cannot do its work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import duckdb

from activity_audit.raw.database import ALL, WAITING_BY_ITSELF
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from activity_audit.warehouse import home_record, home_version, lake


class CannotMigrateError(lake.WarehouseError):
    """A home cannot be brought to this release; the message says why, and what to do instead."""


def _no_change(*_: object) -> None:
    """For what a step does not change."""


@dataclass(frozen=True)
class Step:
    """What leads to a version from the one before: in the warehouse, attached as `audit`, and in the home."""

    version: int
    what: str
    warehouse: Callable[[duckdb.DuckDBPyConnection], None] = _no_change
    home: Callable[[Settings], None] = _no_change


def _complete_index(settings: Settings) -> None:
    """Have all tables of the raw lake's index; earlier releases made some of them when they first needed them."""
    with raw_lake(settings).index.connect() as connection:
        connection.ensure(ALL + WAITING_BY_ITSELF)


STEPS = (
    Step(2, "the index of the raw lake has all its tables", home=_complete_index),
    # Those without them have none.
    Step(3, "saved reports have descriptions, and people whom they are shared with, and are kept a while when deleted"),
    # It is made when somebody first subscribes to a report, or asks a question.
    Step(4, "a home may have a book of deliveries"),
    Step(5, "saved reports are shared with roles, are favourites, and open first"),
)


def migrate(connection: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Take the steps that the warehouse and the home have not had; the caller holds the run lock.

    Raises:
        CannotMigrateError: if one cannot be taken. What was taken before it is recorded.
        WarehouseError: if the warehouse cannot be written, or others published meanwhile.
        OSError, FaultError: if something of the home cannot be read or written.
    """
    if not lake.is_lake(connection):
        return
    known = home_version.of_warehouse(connection)
    for step in STEPS:
        if step.version > known:
            step.warehouse(connection)
            home_version.record(connection, step.version)
    known = home_record.version(settings)
    for step in STEPS:
        if step.version > known:
            step.home(settings)
            home_record.set_version(settings, step.version)
