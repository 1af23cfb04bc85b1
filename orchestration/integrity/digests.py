"""What the digests of a batch are taken over, as SQL: the same for what a run stages and for what is published.

A row's hash is the SHA-256 of its fields, each written as its length in bytes, a colon and its text, a null as `-`,
joined by commas. The digest of rows is the SHA-256 of their hashes, sorted, each followed by a line feed. These rules
are public and may not change: docs/integrity.md.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from orchestration.catalogue import DBT_PROJECT_DIR
from orchestration.integrity.chain import EMPTY_SHA256, BatchDigest

if TYPE_CHECKING:
    import duckdb

_MACRO_FILE = DBT_PROJECT_DIR / "macros" / "record_hash.sql"
# The column of the staged fact that has `record_sha256()`, computed when it was judged.
STAGED_SHA256 = "event_sha256"
_KEY = "feed, feed_hour_utc, run_id"
DELIVERY_FIELDS = (
    "delivery_id", "name", "source_uri", "sha256", "bytes", "landed_at_utc", "raw_sha256", "received", "accepted",
    "duplicate", "quarantined", "offset_normalised", "late", "foreign_application", "undocumented",
)  # fmt: skip
QUARANTINE_FIELDS = (
    "delivery_id", "source_uri", "source_record", "reasons", "event_id", "record", "record_bytes", "record_length",
    "record_sha256",
)  # fmt: skip
REPLAYED_FIELDS = (
    "delivery_id", "source_uri", "source_record", "event_id", "revision", "reasons_before", "disposition",
    "reasons_after", "offset_normalised", "late", "replayed_at_utc",
)  # fmt: skip
_WRITTEN = {
    **{name: f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ')" for name in ("landed_at_utc", "replayed_at_utc")},
    **{name: f"array_to_string({name}, ' ')" for name in ("reasons", "reasons_before", "reasons_after")},
    "record_bytes": "lower(hex(record_bytes))",
}


@cache
def record_sha256() -> str:
    """The SQL expression of an event's `record_sha256`, from the dbt macro of that name, its only home."""
    import jinja2

    macros = jinja2.Environment().from_string(_MACRO_FILE.read_text(encoding="utf-8")).module
    return str(macros.record_sha256()).strip()  # type: ignore[attr-defined]


def delivery_sha256() -> str:
    """The SQL expression of the hash of a row of `quality.feed_delivery`."""
    return _row_sha256(DELIVERY_FIELDS)


def quarantined_sha256() -> str:
    """The SQL expression of the hash of a row of `quality.quarantined_event`; what a replay may change is not in it."""
    return _row_sha256(QUARANTINE_FIELDS)


def replayed_sha256() -> str:
    """The SQL expression of the hash of a row of `quality.replayed_record`."""
    return _row_sha256(REPLAYED_FIELDS)


def digest(row_sha256: str) -> str:
    """The SQL aggregate that is the digest of the rows that have these hashes."""
    # A sorted list takes half the time of an ordered aggregate.
    hashes = f"array_to_string(list_sort(list({row_sha256})), chr(10)) || chr(10)"
    return f"coalesce(sha256({hashes}), '{EMPTY_SHA256}')"


def batches(connection: duckdb.DuckDBPyConnection, database: str, where: str) -> list[BatchDigest]:
    """The batches of which there are rows in the tables of `database` (`work` or `audit`), by hour, feed and run.

    `where` is a condition on `feed_hour_utc` or `run_id`.
    """
    event_sha256 = STAGED_SHA256 if database == "work" else record_sha256()
    delivery = (
        f"select {_KEY}, count(*) as deliveries, sum(received) as received, sum(duplicate) as duplicate, "
        f"{digest('row_sha256')} as sha256 "
        f"from (select *, {delivery_sha256()} as row_sha256 from {database}.quality.feed_delivery where {where}) "
        "group by all"
    )
    found = connection.execute(f"""
        with
        event as ({_counted(f"{database}.main.fact_activity_event", event_sha256, where)}),
        delivery as ({delivery}),
        quarantine as ({_counted(f"{database}.quality.quarantined_event", quarantined_sha256(), where)}),
        batch as (
            select {_KEY} from event union select {_KEY} from delivery union select {_KEY} from quarantine
        )
        select
            {_KEY}, coalesce(delivery.deliveries, 0), coalesce(delivery.received, 0), coalesce(event.n, 0),
            coalesce(delivery.duplicate, 0), coalesce(quarantine.n, 0), coalesce(event.sha256, '{EMPTY_SHA256}'),
            coalesce(delivery.sha256, '{EMPTY_SHA256}'), coalesce(quarantine.sha256, '{EMPTY_SHA256}')
        from batch
        left join event using ({_KEY})
        left join delivery using ({_KEY})
        left join quarantine using ({_KEY})
        order by feed_hour_utc, feed, run_id
    """).fetchall()
    return [BatchDigest(*row[:3], *map(int, row[3:8]), *row[8:]) for row in found]


def _counted(table: str, row_sha256: str, where: str) -> str:
    return (
        f"select {_KEY}, count(*) as n, {digest('row_sha256')} as sha256 "
        f"from (select {_KEY}, {row_sha256} as row_sha256 from {table} where {where}) group by all"
    )


def _row_sha256(fields: tuple[str, ...]) -> str:
    written = [_WRITTEN.get(field, f"cast({field} as varchar)") for field in fields]
    # As in the macro: one `concat`, which leaves nulls out.
    parts = ", ',', ".join(f"strlen({text}), if({text} is null, '-', ':'), {text}" for text in written)
    return f"sha256(concat({parts}))"
