"""The ledger entries of replays: one for each feed hour in which a replay judged a record otherwise than before.

Such a batch has no deliveries. Its `deliveries_sha256` is taken over its rows of `quality.replayed_record`, its
`received` counts them, and its events are those that the replay accepted. The fields of a row are public and may not
change: docs/integrity.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import duckdb

from activity_audit.ledger import digests, ledger
from activity_audit.ledger.chain import EMPTY_SHA256, REPLAY, BatchDigest, BatchKey, append, by_hour, no_rows
from activity_audit.ledger.slices import condition, slices
from activity_audit.warehouse import lake

TABLE = "quality.replayed_record"


@dataclass(frozen=True)
class ReplayedRows:
    """The rows of `quality.replayed_record` of one batch: how many, what became of them, and their digest."""

    key: BatchKey
    rows: int
    duplicate: int
    quarantined: int
    sha256: str


def is_there(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the attached warehouse can have replays; one that an earlier release published last cannot."""
    return lake.has_table(connection, *TABLE.split("."))


def recorded(connection: duckdb.DuckDBPyConnection, where: str) -> set[BatchKey]:
    """The batches that the ledger has as those of replays, under a condition on `feed_hour_utc`."""
    entries = ledger.batches_of(connection, f"kind = '{REPLAY}' and {where}")
    return {entry.batch.key for entry in entries}


def resolving(connection: duckdb.DuckDBPyConnection, where: str) -> str:
    """The query of the rows of `quality.replayed_record` by which a record left the quarantine, under a condition."""
    if not is_there(connection):
        return (
            "select null::varchar as feed, null::timestamp as feed_hour_utc, null::varchar as run_id, "
            "null::varchar as delivery_id, null::bigint as source_record, null::varchar as disposition, "
            "null::boolean as offset_normalised, null::boolean as late, null::timestamp as replayed_at_utc where false"
        )
    return f"select * from audit.{TABLE} where disposition <> 'quarantined' and {where}"


def replayed_rows(connection: duckdb.DuckDBPyConnection, database: str, where: str) -> dict[BatchKey, ReplayedRows]:
    """The batches of which there are replayed records in `database` (`work` or `audit`), under a condition."""
    found = digests.counted(
        connection,
        f"{database}.{TABLE}",
        digests.replayed_sha256(),
        where,
        "cast(disposition = 'duplicate' as integer)",
        "cast(disposition = 'quarantined' as integer)",
    )
    return {key: ReplayedRows(key, *found[key]) for key in sorted(found, key=by_hour)}


def no_replayed_rows(key: BatchKey) -> ReplayedRows:
    """A batch of which there are no replayed records."""
    return ReplayedRows(key, 0, 0, 0, EMPTY_SHA256)


def as_replay(events: BatchDigest | None, replayed: ReplayedRows) -> BatchDigest:
    """The digest of a replayed batch, from what else the tables have under its key and its replayed records."""
    batch = events or no_rows(replayed.key)
    return replace(
        batch,
        received=replayed.rows,
        duplicate=replayed.duplicate,
        quarantined=replayed.quarantined,
        deliveries_sha256=replayed.sha256,
    )


def stage(connection: duckdb.DuckDBPyConnection, recorded_at: datetime) -> None:
    """Add the entries of what a replay has staged to what is to be published.

    As for a run's (`ledger.stage`), the caller holds the run lock until they are published.
    """
    rows = connection.execute(f"select feed_hour_utc, count(*) from work.{TABLE} group by all order by all").fetchall()
    found = []
    for part in slices(rows):
        where = condition(part)
        events = {batch.key: batch for batch in digests.batches(connection, "work", where)}
        found += [as_replay(events.get(key), own) for key, own in replayed_rows(connection, "work", where).items()]
    ledger.insert(connection, f"work.{ledger.TABLE}", append(ledger.newest(connection), REPLAY, found, recorded_at))
