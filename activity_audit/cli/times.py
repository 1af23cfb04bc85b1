"""Times on the command line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from activity_audit.base.hours import ceil_hour, floor_hour, parse_time


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
