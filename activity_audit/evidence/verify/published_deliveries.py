"""The published deliveries, as far as files are concerned: some feed hours at a time, however many there are in all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from activity_audit.ledger.chain import BatchKey
from activity_audit.ledger.slices import Slice, condition, slices
from activity_audit.raw.index import raw_path

TABLE = "audit.quality.feed_delivery"
# In the order of a `PublishedDelivery`.
COLUMNS = "delivery_id, feed, feed_hour_utc, run_id, name, source_uri, sha256, received, raw_sha256"
# In Python one takes some 3 KB, with its paths and its hashes.
_AT_A_TIME = 4000
_KEY = "feed, feed_hour_utc, run_id"


@dataclass(frozen=True, slots=True)
class PublishedDelivery:
    """A row of `quality.feed_delivery`, as far as files are concerned; its hour is a plain UTC timestamp."""

    delivery_id: str
    feed: str
    feed_hour_utc: datetime
    run_id: str
    name: str
    source_uri: str
    sha256: str
    received: int
    raw_sha256: str | None

    @property
    def batch(self) -> BatchKey:
        """The batch that it was published in."""
        return self.feed, self.feed_hour_utc, self.run_id

    @property
    def raw_path(self) -> str:
        """Where its records are, relative to the raw lake."""
        return raw_path(self.feed, self.feed_hour_utc, self.delivery_id)


def parts(connection: duckdb.DuckDBPyConnection, bounds: Slice) -> list[Slice]:
    """The feed hours within the bounds in slices that have few deliveries, or one feed hour."""
    rows = connection.execute(
        f"select feed_hour_utc, count(*) from {TABLE} where feed_hour_utc is not null and {condition(bounds)} "
        "group by all order by all"
    ).fetchall()
    return slices(rows, bounds, _AT_A_TIME)


def published(connection: duckdb.DuckDBPyConnection, where: str) -> list[PublishedDelivery]:
    """The deliveries that a condition on the table's columns holds, by hour, feed and name."""
    rows = connection.execute(
        f"select {COLUMNS} from {TABLE} where {where} order by feed_hour_utc, feed, name"
    ).fetchall()
    return [PublishedDelivery(*row) for row in rows]


def without_hash(connection: duckdb.DuckDBPyConnection, where: str) -> set[BatchKey]:
    """The batches that a release without a ledger published, until the next run records them."""
    rows = connection.execute(f"select distinct {_KEY} from {TABLE} where raw_sha256 is null and {where}").fetchall()
    return {(feed, hour, run_id) for feed, hour, run_id in rows}


def require_readable(connection: duckdb.DuckDBPyConnection) -> None:
    """Read the whole table, which each slice needs a part of, so that a damaged file is said once, and not by each.

    Raises:
        duckdb.Error: if it cannot be read.
    """
    connection.execute(f"select bit_xor(hash(delivery)) from {TABLE} as delivery").fetchall()
