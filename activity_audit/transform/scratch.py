"""The scratch database of one run: what dbt works on, and where it stages what is to be published.

It is a DuckDB file below `$AUDIT_HOME/work`, attached as `work`, and is thrown away when the run ends. The inputs that
`dbt_project/models/sources.yml` declares are made here, with the columns that it gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from activity_audit.base.hours import HOUR, hour_range, naive
from activity_audit.base.sql_text import literal, parquet_rows
from activity_audit.dbt_runner import project
from activity_audit.ingest.manifests import read_manifest
from activity_audit.ingest.set_aside import SetAside
from activity_audit.ledger.raw_hashes import each_sha256
from activity_audit.raw.index import LandedDelivery, LandedManifest
from activity_audit.raw.lake import RawLake, raw_lake
from activity_audit.settings.core import Settings
from activity_audit.warehouse import arrow_rows, known_ids, lake, lake_location, lake_writer, spill
from activity_audit.warehouse.contract import tables_of_python
from activity_audit.warehouse.extensions import connect
from activity_audit.warehouse.key_index import KeyIndex
from activity_audit.warehouse.tables import create_tables

# Of the memory of a run, so much is DuckDB's. Python with dbt, Dagster and Great Expectations takes half a gigabyte,
# and DuckDB goes past its limit by as much again.
_MEMORY = 2 / 3


@dataclass(frozen=True)
class Batch:
    """What one run works on: the feed hours in [start, end) of `feeds`, and what was landed for them.

    `readings` are all readings, of any feed, of the hours that have a new one. `set_aside` is what cannot be processed
    of the feed hours. A replay works on some records of deliveries that are published: `replayed` is the query of the
    rows of `work.raw.replayed`.
    """

    run_id: str
    started_at: datetime
    start: datetime
    end: datetime
    feeds: Sequence[str]
    deliveries: Sequence[LandedDelivery]
    manifests: Sequence[LandedManifest]
    readings: Sequence[LandedDelivery] = ()
    set_aside: Sequence[SetAside] = ()
    replayed: str | None = None


class Workbench:
    """One run's scratch database and its connection to the warehouse.

    All its connections, dbt's too, are to the DuckDB instance `instance`, which lives as long as one of them, or as
    the block of `kept`: loading DuckDB's extensions and attaching the warehouse take longer than most of a small run.
    """

    def __init__(self, settings: Settings, run_id: str, folder: Path | None = None) -> None:
        self._settings = settings
        self.path = (folder or settings.work_dir) / f"{run_id}.duckdb"
        self.target_dir = self.path.with_suffix(".dbt")
        self.instance = f":memory:{self.path}"
        self.known_ids = KeyIndex(settings.key_index_dir)

    @contextmanager
    def kept(self) -> Iterator[Workbench]:
        """Keep the instance, and the warehouse attached to it, until the end of the block."""
        with connect(self.instance) as instance:
            # DuckDB forgets the function's code with the connection that it was given to.
            self.known_ids.register(instance)
            yield self

    def attach(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Attach `work` and `audit` where they are not, and bound what the connection may use."""
        connection.execute(f"set memory_limit = '{self._settings.memory_share(_MEMORY)}'")
        spill_to = str(spill.folder(self._settings))
        # Once something was spilt, DuckDB refuses to be told where to, even if it is the same place.
        if connection.execute("select current_setting('temp_directory')").fetchone() != (spill_to,):
            connection.execute(f"set temp_directory = {literal(spill_to)}")
        lake.cache_no_files(connection)
        # Rows are ordered where order matters, by ORDER BY; free of it, DuckDB streams.
        connection.execute("set preserve_insertion_order = false")
        # It is thrown away, so nothing of it needs to survive a crash.
        connection.execute(f"attach if not exists {literal(str(self.path))} as work (recovery_mode no_wal_writes)")
        self._attach_warehouse(connection)

    def _attach_warehouse(self, connection: duckdb.DuckDBPyConnection) -> None:
        if not lake.is_attached(connection):
            lake_writer.attach(connection, self._settings)

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection with both databases attached; at the end of the block it is closed, and `work` is free."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with connect(self.instance) as instance:
            connection = connect(self.instance)
            try:
                self.attach(connection)
                yield connection
            finally:
                connection.close()
                instance.execute("detach database if exists work")


class LoneWorkbench(Workbench):
    """The same for work that needs nothing of the warehouse but the place of its files, which it may write."""

    def _attach_warehouse(self, connection: duckdb.DuckDBPyConnection) -> None:
        lake_location.prepare(connection, lake_location.location(self._settings))


def attach_empty(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Attach a scratch database at `path`, and a warehouse in memory in which nothing was ever published."""
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute(f"attach if not exists {literal(str(path))} as work")
    connection.execute("attach if not exists ':memory:' as audit")
    create_tables(connection, project.manifest())
    known_ids.look_up_by_scan(connection)


def fill(
    connection: duckdb.DuckDBPyConnection,
    batch: Batch,
    settings: Settings,
    *,
    hashed: Mapping[str, str | None] | None = None,
    with_records: bool = True,
) -> None:
    """Make the inputs of the batch in `work.raw`, with the records or without.

    `hashed` are the hashes of the raw files by delivery, where somebody has read the files already.
    """
    _create_tables_of_python(connection)
    raw = raw_lake(settings)
    raw.store.let_read(connection)
    if batch.replayed:
        connection.execute(f"insert into work.raw.replayed {batch.replayed}")
    if with_records:
        records = _records("delivery", batch.deliveries, raw)
        if records and batch.replayed:
            records = f"select * from ({records}) semi join work.raw.replayed using (delivery_id, source_record)"
        _read_from_files(connection, "record", records)
    hashes = (
        each_sha256([delivery.raw_path for delivery in batch.deliveries], raw.store.open, raw.store.at_once)
        if hashed is None
        else (hashed[delivery.delivery_id] for delivery in batch.deliveries)
    )
    insert(
        connection,
        "delivery",
        [
            (d.delivery_id, d.feed, naive(d.feed_hour), d.name, d.source_uri, d.sha256, d.bytes, d.records,
             naive(d.landed_at), raw.store.shown(d.raw_path), raw_sha256)
            for d, raw_sha256 in zip(batch.deliveries, hashes, strict=True)
        ],
    )  # fmt: skip
    insert(
        connection,
        "reading",
        [
            (d.delivery_id, d.feed, naive(d.feed_hour), d.name, naive(d.landed_at), raw.store.shown(d.raw_path))
            for d in batch.readings
        ],
    )
    _read_from_files(connection, "reading_record", _records("reading", batch.readings, raw))
    read = [(m.feed, naive(m.feed_hour), *read_manifest(m.content)) for m in batch.manifests]
    insert(connection, "manifest", [(feed, hour, error) for feed, hour, _, error in read])
    insert(connection, "manifest_file", [(feed, hour, *file) for feed, hour, files, _ in read for file in files])
    insert(
        connection,
        "set_aside",
        [
            (one.feed, naive(one.feed_hour), one.name, one.source_uri, one.reason, one.gone_at is not None)
            for one in batch.set_aside
            if one.feed_hour
        ],
    )
    insert(
        connection,
        "feed_hour",
        [
            (feed, naive(hour), feed in settings.expected_feeds, hour + HOUR <= batch.started_at)
            for hour in hour_range(batch.start, batch.end)
            for feed in batch.feeds
        ],
    )
    tolerance = int(settings.future_tolerance.total_seconds())
    context = (
        batch.run_id,
        naive(batch.started_at),
        naive(batch.start),
        naive(batch.end),
        tolerance,
        bool(batch.replayed),
    )
    insert(connection, "run_context", [context])


def _create_tables_of_python(connection: duckdb.DuckDBPyConnection) -> None:
    for table, columns in tables_of_python(project.manifest()).items():
        connection.execute(f"create schema if not exists work.{table.split('.')[0]}")
        types = ", ".join(f"{name} {data_type}" for name, data_type in columns.items())
        connection.execute(f"create table if not exists work.{table} ({types})")


def _read_from_files(connection: duckdb.DuckDBPyConnection, table: str, records: str | None) -> None:
    """Let a table of `work.raw` be these records of the raw lake; without any, it stays the empty table that it is."""
    if records:
        connection.execute(f"drop table work.raw.{table}")
        connection.execute(f"create view work.raw.{table} as {records}")


def _records(table: str, deliveries: Sequence[LandedDelivery], raw: RawLake) -> str | None:
    """The query of all records of the deliveries that `work.raw.<table>` has; None if they have none."""
    files = {delivery.raw_path: delivery.records for delivery in deliveries}
    if gone := raw.store.missing(files):
        raise lake.WarehouseError(
            f"{len(gone)} files of the raw lake that this run needs are gone, the first is "
            f"{raw.store.shown(gone[0])}; restore them from a backup, or {raw.index.database.how_to_rebuild} to land "
            "their deliveries again"
        )
    paths = [raw.store.shown(name) for name, records in files.items() if records]
    if not paths:
        return None
    return f"""
        select
            delivery.delivery_id, record.source_record, record.record, record.problem, record.record_bytes,
            record.record_length, record.record_sha256
        from {parquet_rows(*paths, options=", filename = true")} as record
        inner join work.raw.{table} as delivery on record.filename = delivery.raw_path
    """


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Add rows to an input of the batch."""
    arrow_rows.insert(connection, f"work.raw.{table}", rows)
