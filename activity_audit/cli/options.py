"""Options that commands share: times, feeds, and the filters by which events are chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial, wraps
from typing import Any

import click
import duckdb

from activity_audit.base import catalogue
from activity_audit.base.hours import ceil_hour, floor_hour, parse_time
from activity_audit.base.vocabulary import OUTCOMES
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.masked import FIELDS, WORD

MASKED = click.option(
    "--masked", is_flag=True, help=f"Write the word `{WORD}` in place of {', '.join(FIELDS[:-1])} and {FIELDS[-1]}."
)
Choose = Callable[[duckdb.DuckDBPyConnection], Filters]
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


class TimeType(click.ParamType):
    """An ISO 8601 time; without a zone it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """See click.ParamType."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_time(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


TIME = TimeType()


def window(start: datetime | None, end: datetime | None) -> tuple[datetime, datetime] | None:
    """The feed hours that `--from` and `--to` mean, widened to whole hours; None where neither is given.

    Raises:
        click.UsageError: if only one is given, or they are in the wrong order.
    """
    if start is None and end is None:
        return None
    if start is None or end is None:
        raise click.UsageError("--from and --to belong together: give both, or neither")
    if start >= end:
        raise click.UsageError("--from must be earlier than --to; the range is half-open, [from, to)")
    return floor_hour(start), ceil_hour(end)


def known_feeds(feeds: Iterable[str]) -> list[str]:
    """These slugs, each once.

    Raises:
        click.UsageError: if the catalogue does not have one; the message lists those that it has.
    """
    known = catalogue.slugs()
    unknown = [feed for feed in feeds if feed not in known]
    if unknown:
        raise click.UsageError(f"no feed has the name {', '.join(unknown)}; the catalogue has {', '.join(known)}")
    return list(dict.fromkeys(feeds))
