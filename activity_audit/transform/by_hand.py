"""The input of dbt when a person runs it: a landed hour that they name, or nothing, and the published warehouse.

`audit dbt show -s stg_record --vars '{hour: 2026-05-01T10, feed: search}'` shows the records of that hour as a run sees
them. What is built of a named hour stays in `$AUDIT_HOME/dbt`, for the next command that names the same one.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, floor_hour, now_utc, parse_time
from activity_audit.base.sql_text import literal
from activity_audit.dbt_runner import project
from activity_audit.ingest.landing import open_index
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from activity_audit.transform.scratch import Batch, fill
from activity_audit.warehouse import known_ids, lake, spill
from activity_audit.warehouse.tables import create_tables


class ByHandError(ValueError):
    """dbt cannot work on what a person named; the message says what to write."""


def attach(connection: duckdb.DuckDBPyConnection, settings: Settings, hour: str = "", feed: str = "") -> None:
    """Attach `work` with the landed records of the hour, and `audit`, the published warehouse, read-only.

    `hour` is an ISO 8601 time in that hour, UTC where it names no zone; without it, `work` is in memory and has no
    records. Without `feed`, the records are those of every feed.

    Raises:
        ByHandError: nothing is landed under these names, or the project is not parsed yet.
        WarehouseError: a raw file is gone, or the warehouse cannot be reached.
    """
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute(f"set temp_directory = {literal(str(spill.folder(settings)))}")
    if not project.is_parsed():
        raise ByHandError("this version of the dbt project is not parsed yet; `audit dbt parse` does that")
    batch = _batch(settings, hour, feed)
    path = _kept(settings, batch.start, feed) if hour else ":memory:"
    connection.execute(f"attach {literal(str(path))} as work")
    connection.execute("drop schema if exists work.raw cascade")
    fill(connection, batch, settings)
    if not lake.attach_read_only(connection, settings):
        connection.execute("attach ':memory:' as audit")
        create_tables(connection, project.manifest())
    known_ids.look_up_by_scan(connection)


def _batch(settings: Settings, hour: str, feed: str) -> Batch:
    now = now_utc()
    if not hour:
        return Batch("by-hand", now, floor_hour(now), floor_hour(now), feeds=(), deliveries=(), manifests=())
    if feed and feed not in catalogue.slugs():
        raise ByHandError(f"no feed is named {feed!r}; the feeds are {', '.join(catalogue.slugs())}")
    try:
        start = floor_hour(parse_time(hour))
    except ValueError as error:
        raise ByHandError(f"the variable hour: {error}") from None
    feeds, window = [feed] if feed else catalogue.slugs(), (start, start + HOUR)
    index = open_index(raw_lake(settings))
    deliveries = index.deliveries(feeds, window)
    if not deliveries:
        raise ByHandError(
            f"nothing of {feed or 'any feed'} is landed for the hour {start:%Y-%m-%dT%H}; `audit run` lands it, "
            "or name another one"
        )
    return Batch(
        run_id="by-hand",
        started_at=now,
        start=start,
        end=start + HOUR,
        feeds=feeds,
        deliveries=deliveries,
        manifests=index.manifests(feeds, window),
        # A reading is told by what it lacks, and that another feed may have.
        readings=[delivery for delivery in index.deliveries(catalogue.slugs(), window) if delivery.is_reading],
    )


def _kept(settings: Settings, hour: datetime, feed: str) -> Path:
    """The scratch database of this hour; that of another hour is removed."""
    folder = settings.dbt_dir
    folder.mkdir(parents=True, exist_ok=True)
    name = f"hour-{hour:%Y-%m-%dT%H}-{feed or 'all'}.duckdb"
    for other in folder.glob("hour-*.duckdb*"):
        if not other.name.startswith(name):
            other.unlink()
    return folder / name
