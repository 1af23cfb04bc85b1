"""The options by which commands choose events: a period and values, resolved to what the warehouse has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

import click

from activity_audit.cli.times import TIME
from activity_audit.warehouse.events.filters import OUTCOMES, Filters

if TYPE_CHECKING:
    import duckdb

Choose = Callable[["duckdb.DuckDBPyConnection"], Filters]
_NAMES = ("start", "end", "applications", "entities", "activities", "outcomes")


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--from`, `--to` and the options of values, all but the period repeatable.

    The command is called with `choose` in place of them, which says what they mean on a warehouse.
    """

    @wraps(command)
    def chosen(*arguments: Any, **options: Any) -> Any:
        asked = {name: options.pop(name) for name in _NAMES}
        return command(*arguments, choose=partial(_filters, **asked), **options)

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
        chosen = option(chosen)
    return chosen


def _filters(
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
    from activity_audit.warehouse.events import names

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
