"""The options by which commands choose events: a period and values, resolved to what the warehouse has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestration.cli.times import TIME
from report.filters import OUTCOMES, Filters

if TYPE_CHECKING:
    import duckdb

Command = TypeVar("Command", bound=Callable[..., Any])


def filter_options(command: Command) -> Command:
    """Add `--from`, `--to` and the options of values, all but the period repeatable."""
    for option in reversed(
        (
            click.option("--from", "start", type=TIME, required=True, help="Events from this time on, ISO 8601 UTC."),
            click.option("--to", "end", type=TIME, required=True, help="Events before this time, ISO 8601 UTC."),
            click.option("--application", "applications", multiple=True, metavar="NAME", help="May be repeated."),
            click.option("--entity", "entities", multiple=True, metavar="NAME", help="May be repeated."),
            click.option("--activity", "activities", multiple=True, metavar="NAME", help="May be repeated."),
            click.option(
                "--outcome",
                "outcomes",
                multiple=True,
                type=click.Choice(OUTCOMES, case_sensitive=False),
                help="May be repeated.",
            ),
        )
    ):
        command = option(command)
    return command


def filters(
    connection: duckdb.DuckDBPyConnection,
    start: datetime,
    end: datetime,
    applications: Sequence[str],
    entities: Sequence[str],
    activities: Sequence[str],
    outcomes: Sequence[str],
) -> Filters:
    """What the options mean on this warehouse.

    Raises:
        click.UsageError: for an empty period, or a name that neither the catalogue nor an event has.
    """
    from report import names

    try:
        return Filters(
            start,
            end,
            names.applications(connection, applications),
            names.spellings(connection, "entity", entities),
            names.spellings(connection, "activity", activities),
            tuple(dict.fromkeys(outcomes)),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
