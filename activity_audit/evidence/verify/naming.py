"""Names the events of a batch that differ: its raw records are judged again and compared with the fact.

Digests say that a batch differs, cheaply; only for a batch that does is this done. The judging is the pipeline's own,
with the rules, settings and catalogue of now.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb

from activity_audit.base.catalogue import slugs
from activity_audit.base.hours import HOUR, now_utc
from activity_audit.base.sql_text import literal, parquet_rows
from activity_audit.base.vocabulary import FACT
from activity_audit.dbt_runner import project
from activity_audit.evidence.verify import published_deliveries
from activity_audit.evidence.verify.check_batches import Differing
from activity_audit.evidence.verify.findings import Finding, Problem, batch_name, listed
from activity_audit.evidence.verify.published_deliveries import PublishedDelivery
from activity_audit.ledger import ledger, replays
from activity_audit.ledger.chain import DELETION, BatchKey
from activity_audit.ledger.digests import record_sha256
from activity_audit.raw.files import delivery_in
from activity_audit.raw.index import LandedDelivery
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from activity_audit.transform.scratch import Batch, attach_empty, fill
from activity_audit.warehouse import arrow_rows
from activity_audit.warehouse.extensions import connect

# So many records are judged again, which takes about as many seconds as 50,000 of them go into it.
_MOST_RECORDS = 1_000_000
_WORK = "work.duckdb"
_KEY = "feed, feed_hour_utc, run_id"
_WHAT: dict[Problem, str] = {
    "changed": "events differ from their records in the raw lake",
    "missing": "events are missing whose records are in the raw lake",
    "added": "there are more events than the records in the raw lake give",
}


def name_events(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    differing: Sequence[Differing],
    damaged: set[str],
    scratch: Path,
) -> list[Finding]:
    """A finding for each kind of difference of these batches, with event ids; without, where they cannot be told.

    `damaged` raw files cannot tell what their batches were. `scratch` is an empty folder for the work.

    Raises:
        TransformError: if dbt fails.
    """
    tellable = _tellable(_deliveries(connection, differing), damaged)
    if tellable:
        _judge(settings, {one.delivery_id: one for own in tellable.values() for one in own}.values(), scratch)
        connection.execute(f"attach {literal(str(scratch / _WORK))} as work (read_only)")
    findings: list[Finding] = []
    for found in differing:
        try:
            named = _compare(connection, found) if found.key in tellable else []
        except duckdb.Error:
            # It needed a data file that cannot be read, which is a finding already.
            named = []
        findings += named or ([found.finding] if found.finding else [])
    if tellable:
        connection.execute("detach work")
    return findings


def _deliveries(
    connection: duckdb.DuckDBPyConnection, differing: Iterable[Differing]
) -> dict[BatchKey, list[PublishedDelivery]]:
    """The deliveries that the events of each of these batches come from: its own, or those of replayed records.

    Of a batch that retention deleted there are none.
    """
    found: dict[BatchKey, list[PublishedDelivery]] = {batch.key: [] for batch in differing}
    arrow_rows.create(connection, "temp table differing_batch", _KEY.split(", "), list(found))
    rows = connection.execute(
        f"""
        with
        of_batch as (
            select {_KEY}, delivery_id from {published_deliveries.TABLE} semi join differing_batch using ({_KEY})
            union
            select {_KEY}, delivery_id from ({replays.resolving(connection, "true")})
            semi join differing_batch using ({_KEY})
        ),
        kept as (
            select {published_deliveries.COLUMNS} from {published_deliveries.TABLE}
            anti join (select {_KEY} from audit.{ledger.TABLE} where kind = '{DELETION}') as deleted using ({_KEY})
        )
        select of_batch.feed, of_batch.feed_hour_utc, of_batch.run_id, kept.*
        from of_batch inner join kept using (delivery_id)
        order by kept.feed_hour_utc, kept.feed, kept.name
        """
    ).fetchall()
    for feed, hour, run_id, *delivery in rows:
        found[feed, hour, run_id].append(PublishedDelivery(*delivery))
    return found


def _tellable(
    deliveries: dict[BatchKey, list[PublishedDelivery]], damaged: set[str]
) -> dict[BatchKey, list[PublishedDelivery]]:
    """Of these batches those that can be told event by event, without taking too long."""
    tellable: dict[BatchKey, list[PublishedDelivery]] = {}
    records = 0
    for key, own in deliveries.items():
        records += sum(one.received for one in own)
        if tellable and records > _MOST_RECORDS:
            break
        if own and not any(one.raw_path in damaged for one in own):
            tellable[key] = own
    return tellable


def _judge(settings: Settings, deliveries: Iterable[PublishedDelivery], scratch: Path) -> None:
    """Judge the records of these deliveries as if nothing had been published before them."""

    store = raw_lake(settings).store
    landed: list[LandedDelivery] = [delivery_in(store, delivery.raw_path) for delivery in deliveries]
    batch = Batch(
        run_id="verify",
        started_at=now_utc(),
        start=min(delivery.feed_hour for delivery in landed),
        end=max(delivery.feed_hour for delivery in landed) + HOUR,
        feeds=slugs(),
        deliveries=landed,
        manifests=[],
    )

    def prepare(connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(f"set memory_limit = '{settings.memory_limit}'")
        connection.execute(f"set temp_directory = {literal(str(scratch / 'spill'))}")
        attach_empty(connection, scratch / _WORK)

    with connect() as connection:
        prepare(connection)
        fill(connection, batch, settings)
    project.build(prepare, scratch / "dbt", select="+int_judged_record")


def _compare(connection: duckdb.DuckDBPyConnection, found: Differing) -> list[Finding]:
    """What differs between a batch's events and its records.

    Every valid record's event is in the fact, but may be in another batch, that had it first. A record that the
    quarantine has is none of the batch that it came in, but of the replay that accepted it. A data file that is looked
    at by itself says nothing about events that are not in it.
    """
    fact = parquet_rows(found.data_file) if found.data_file else FACT
    missing = (
        "false" if found.data_file else f"event_id not in (select event_id from {fact} semi join gone using (event_id))"
    )
    rows = connection.execute(
        f"""
        with
        delivery as (
            select delivery_id from audit.quality.feed_delivery where feed = $1 and feed_hour_utc = $2 and run_id = $3
        ),
        judged as (
            select *, (delivery_id, source_record) as place from work.intermediate.int_judged_record
        ),
        quarantined as (
            select (delivery_id, source_record) as place from audit.quality.quarantined_event
            where feed = $1 and feed_hour_utc = $2
        ),
        replayed as (
            select (delivery_id, source_record) as place from ({replays.resolving(connection, "true")})
            where feed = $1 and feed_hour_utc = $2 and run_id = $3 and disposition = 'accepted'
        ),
        valid as (
            select distinct event_id, {record_sha256()} as sha256 from judged
            where place in (from replayed) or (
                delivery_id in (from delivery) and (reasons = [] or reasons = ['event_id_conflict'])
                and place not in (from quarantined)
            )
        ),
        event as (
            select event_id, {record_sha256()} as sha256, count(*) over (partition by event_id) as times
            from {fact} where feed = $1 and feed_hour_utc = $2 and run_id = $3
        ),
        gone as (
            select event_id from valid anti join event using (event_id)
        )
        select 'changed', event_id from event
        where event_id in (select event_id from valid) and (event_id, sha256) not in (from valid)
        union
        select 'added', event_id from event where times > 1 or event_id not in (select event_id from valid)
        union
        select 'missing', event_id from gone where {missing}
        order by all
        """,
        list(found.key),
    ).fetchall()
    findings = []
    for problem, what in _WHAT.items():
        ids = [event_id for kind, event_id in rows if kind == problem]
        if ids:
            findings.append(Finding("fact", problem, batch_name(found.key), f"{len(ids)} {what}: {listed(ids)}"))
    return findings
