"""What dbt built in a run: the time and the rows of each seed and model, by feed hour where known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from activity_audit.base.hours import aware

_HOUR = "feed_hour_utc"


@dataclass(frozen=True)
class Built:
    """A seed or model that dbt built in so many seconds.

    `rows` are those that the run staged; None for a view, whose rows nobody counts. `by_hour` has them by feed hour
    (aware, UTC); None where the rows do not say of which feed hour they are.
    """

    seconds: float
    rows: int | None
    by_hour: Mapping[datetime, int] | None

    def of_hour(self, hour: datetime, *, is_only_one: bool) -> int | None:
        """The rows of a feed hour; if the run is of that hour only, they all are."""
        if self.by_hour is not None:
            return self.by_hour.get(hour, 0)
        return self.rows if is_only_one else None


def describe(
    connection: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any], seconds: Mapping[str, float]
) -> dict[str, Built]:
    """What is staged in `work`, by dbt's unique ids; `seconds` says how long dbt took for each."""
    nodes = {key: manifest["nodes"][key] for key in seconds if _is_counted(manifest["nodes"][key])}
    with_hour = {key for key, node in nodes.items() if _HOUR in node["columns"]}
    found: dict[str, dict[datetime | None, int]] = {}
    for key, node in nodes.items():
        # Not as one statement: of the counts of a year's hours, DuckDB 1.5 waits for itself for ever.
        counts = connection.execute(
            f"select {_HOUR if key in with_hour else 'null::timestamp'}, count(*) "
            f"from work.{node['schema']}.{node['name']} group by all"
        ).fetchall()
        found[key] = {hour and aware(hour): rows for hour, rows in counts}
    return {
        key: Built(
            took,
            sum(found[key].values()) if key in nodes else None,
            {hour: rows for hour, rows in found[key].items() if hour} if key in with_hour else None,
        )
        for key, took in seconds.items()
    }


def _is_counted(node: Mapping[str, Any]) -> bool:
    """Whether it has rows of its own: a view of the scratch database is read by others, a public one by everybody."""
    publish = node["config"].get("meta", {}).get("publish")
    return publish != "view" if publish else node["config"]["materialized"] != "scratch_view"
