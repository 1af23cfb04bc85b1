"""One event: its nine fields in full, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from activity_audit.base.hours import aware
from activity_audit.ledger.digests import record_sha256
from activity_audit.report.queries.warehouse import Query
from activity_audit.warehouse.events.columns import COLUMNS
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.events.long_texts import Digest
from activity_audit.warehouse.events.masked import WORD

_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_LINEAGE = (
    "event_time_source", "feed", "feed_hour_utc", "source_uri", "source_record", "ingested_at_utc", "run_id",
)  # fmt: skip


@dataclass(frozen=True)
class Delivery:
    """A delivery that the event's place was in: the file as delivered, and its file in the raw lake.

    `raw_sha256` is None where a release before the ledger published it.
    """

    delivery_id: str
    name: str
    sha256: str
    bytes: int
    landed_at_utc: datetime
    raw_sha256: str | None


@dataclass(frozen=True)
class LedgerEntry:
    """The entry of the ledger that the event's batch has."""

    sequence: int
    kind: str
    events_sha256: str
    entry_sha256: str
    recorded_at_utc: datetime


@dataclass(frozen=True)
class Event:
    """An event; times are plain UTC.

    `fields` are its nine fields, by their names in the fact and in the report's order. `snapshot_id` is the snapshot
    that it was published in, None where that is not kept any more; `ledger` is None where its batch has no entry yet.
    `deliveries` are those of its run that came from its place, or before it where its run was a replay: mostly one,
    several where a file was delivered again before the run.
    """

    fields: dict[str, Any]
    event_time_source: str
    feed: str
    feed_hour_utc: datetime
    source_uri: str
    source_record: int
    ingested_at_utc: datetime
    run_id: str
    record_sha256: str
    deliveries: tuple[Delivery, ...]
    snapshot_id: int | None
    ledger: LedgerEntry | None


def event(query: Query, event_id: str | Digest, at: datetime | None = None) -> Event | None:
    """The event of this id, None if there is none.

    `at` is the event's time, plain UTC, where it is known: it spares a look through the whole history.
    """
    start, end = _EVER if at is None else (aware(at), aware(at) + timedelta(microseconds=1))
    sql, values, reads = query.files.reading(Filters(start, end, event_ids=(event_id,)))
    names = ", ".join((*(column.field for column in COLUMNS), *_LINEAGE))
    found = query.rows(
        f"select {names}, {record_sha256()} {sql} limit 1",
        values,
        reads=reads,
    )
    if not found:
        return None
    row = found[0]
    lineage = dict(zip(_LINEAGE, row[len(COLUMNS) : -1], strict=True))
    batch = [lineage["feed"], lineage["feed_hour_utc"], lineage["run_id"]]
    deliveries = query.rows(
        """
        select delivery_id, name, sha256, bytes, landed_at_utc, raw_sha256
        from audit.quality.feed_delivery
        where feed = $1 and feed_hour_utc = $2 and source_uri = $4
        -- A replay brings no delivery of its own: its events are from those of earlier runs.
        and (
            run_id = $3 or $3 in (select run_id from audit.quality.pipeline_run where kind = 'replay')
            and landed_at_utc <= $5
        )
        order by landed_at_utc, delivery_id
        """,
        [*batch, lineage["source_uri"], lineage["ingested_at_utc"]],
    )
    entries = query.rows(
        "select sequence, kind, events_sha256, entry_sha256, recorded_at_utc from audit.quality.integrity_ledger "
        "where feed = ? and feed_hour_utc = ? and run_id = ? order by sequence limit 1",
        batch,
    )
    snapshots = query.rows(
        "select min(snapshot_id) from audit.snapshots() where commit_message = ?", [lineage["run_id"]]
    )
    found_event = Event(
        fields={column.field: value for column, value in zip(COLUMNS, row, strict=False)},
        record_sha256=row[-1],
        deliveries=tuple(Delivery(*one) for one in deliveries),
        snapshot_id=snapshots[0][0],
        ledger=LedgerEntry(*entries[0]) if entries else None,
        **lineage,
    )
    return _without_hashes(found_event) if query.is_masked else found_event


def _without_hashes(event: Event) -> Event:
    """A guess at a masked value could be tested by the hash of anything that has it, if all else is known."""
    return replace(
        event,
        record_sha256=WORD,
        deliveries=tuple(replace(one, sha256=WORD, raw_sha256=one.raw_sha256 and WORD) for one in event.deliveries),
        ledger=event.ledger and replace(event.ledger, events_sha256=WORD, entry_sha256=WORD),
    )
