"""The instances with the most events of a whole snapshot.

There may be nearly as many instances as events, so none of a snapshot's counts is by instance, and to list those of a
long period means to read it. For the whole of the history that is done once, behind the readers' backs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from activity_audit.base.hours import HOUR, aware
from activity_audit.report.queries.files import FACT
from activity_audit.report.queries.rollups import HOURLY
from activity_audit.warehouse.events.filters import Filters

if TYPE_CHECKING:
    import duckdb

MOST = 200


@dataclass(frozen=True)
class Instances:
    """The whole hours from the first event to the last, UTC; and the instances with the most events, at most `MOST`.

    None is the instance of events that have none.
    """

    start: datetime
    end: datetime
    most: list[tuple[str | None, int]]

    def are_of(self, filters: Filters) -> bool:
        """Whether the filters keep every event."""
        return not filters.fields and filters.start <= self.start and filters.end >= self.end


def count(connection: duckdb.DuckDBPyConnection, scanner: duckdb.DuckDBPyConnection) -> Instances | None:
    """Count those of a snapshot, None if it has no event; `scanner` reads the events."""
    first, last = connection.execute(f"select min(begins), max(begins) from {HOURLY}").fetchall()[0]
    if first is None:
        return None
    rows = scanner.execute(
        f"select instance, count(*) as n from {FACT} group by instance "
        f"order by n desc, instance nulls last limit {MOST}"
    ).fetchall()
    return Instances(aware(first), aware(last) + HOUR, rows)
