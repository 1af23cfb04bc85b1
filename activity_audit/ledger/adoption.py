"""Adoption: the first run of a release with a ledger records the batches that an earlier release published.

Their entries are of the kind `adopted`: they vouch for what the warehouse and the raw lake had then, not for what was
published. Such a release left `raw_sha256` null, and by that they are told; so a batch whose entry was removed is not
adopted, and `audit verify` goes on to name it.
"""

from __future__ import annotations

from datetime import datetime

import duckdb

from activity_audit.ledger import digests, ledger
from activity_audit.ledger.chain import ADOPTED, append
from activity_audit.ledger.raw_hashes import ABSENT, each_sha256
from activity_audit.ledger.slices import condition, slices
from activity_audit.raw.index import raw_path
from activity_audit.raw.store import RawStore
from activity_audit.warehouse import arrow_rows
from activity_audit.warehouse.transactions import snapshot_now, transaction

_UNKNOWN = "raw_sha256 is null"


def adopt(connection: duckdb.DuckDBPyConnection, store: RawStore, recorded_at: datetime) -> int:
    """Record every batch whose raw files no hash is known of, in one transaction; returns how many they were.

    `recorded_at` is a plain UTC timestamp. The connection has `work` and `audit` attached, and the caller holds the
    run lock.

    Raises:
        OSError: if a raw file cannot be read.
    """
    since = snapshot_now(connection)
    rows = connection.execute(
        "select delivery_id, feed, feed_hour_utc, run_id, accepted + quarantined from audit.quality.feed_delivery "
        f"where {_UNKNOWN} order by feed_hour_utc"
    ).fetchall()
    if not rows:
        return 0
    _hash_raw_files(connection, store, rows)
    wanted = {(feed, hour, run) for _, feed, hour, run, _ in rows}
    wanted -= {entry.batch.key for entry in ledger.entries(connection)}
    parts = slices([(hour, count) for _, _, hour, _, count in rows])
    with transaction(connection, "adoption by the ledger", {}, since=since):
        connection.execute(
            "update audit.quality.feed_delivery set raw_sha256 = known.raw_sha256 from work.main.raw_hash as known "
            f"where feed_delivery.delivery_id = known.delivery_id and feed_delivery.{_UNKNOWN}"
        )
        found = [batch for part in parts for batch in digests.batches(connection, "audit", condition(part))]
        new = append(ledger.newest(connection), ADOPTED, [batch for batch in found if batch.key in wanted], recorded_at)
        ledger.insert(connection, f"audit.{ledger.TABLE}", new)
    return len(new)


def _hash_raw_files(connection: duckdb.DuckDBPyConnection, store: RawStore, rows: list[tuple]) -> None:
    names = [raw_path(feed, hour, delivery) for delivery, feed, hour, *_ in rows]
    hashes = each_sha256(names, store.open, store.at_once)
    known = [(row[0], found or ABSENT) for row, found in zip(rows, hashes, strict=True)]
    arrow_rows.create(connection, "work.main.raw_hash", ("delivery_id", "raw_sha256"), known)
