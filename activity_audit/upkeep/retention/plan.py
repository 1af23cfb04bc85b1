"""Plans what retention deletes now, and what stays: held hours, and hours whose evidence is damaged.

A feed hour is deleted whole or not at all, so one batch of it that cannot go keeps the others.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from activity_audit.base.hours import HOUR, aware, naive
from activity_audit.evidence.verify import published_deliveries
from activity_audit.evidence.verify.check_batches import deleted_differences, differences
from activity_audit.evidence.verify.check_files import hash_finding
from activity_audit.evidence.verify.check_ledger import check_holds, check_ledger, expected_heads
from activity_audit.evidence.verify.findings import Finding, batch_name
from activity_audit.evidence.verify.published_deliveries import PublishedDelivery
from activity_audit.ledger import digests, ledger, replays
from activity_audit.ledger.chain import DELETION, BatchDigest, BatchKey, Entry, by_hour, no_rows
from activity_audit.ledger.holds import HeldHour, held_hours, rows_of, standing
from activity_audit.ledger.raw_hashes import each_sha256_or_error
from activity_audit.ledger.replays import ReplayedRows
from activity_audit.ledger.slices import condition, slices
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from activity_audit.warehouse import arrow_rows, lake

FeedHour = tuple[str, datetime]

_HOURS_AT_A_TIME = 10_000
_DUE = "(feed, feed_hour_utc) in (select feed, feed_hour_utc from due_hour)"


@dataclass(frozen=True)
class DueBatch:
    """A batch to delete: what it consists of, the rule by which it goes, and its files in the raw lake."""

    digest: BatchDigest
    retention: str
    raw_files: int
    bytes: int

    @property
    def quarantined(self) -> int:
        """How many quarantined records go with it; those that a replay's batch counts are of other batches."""
        return self.digest.quarantined if self.digest.deliveries else 0


@dataclass
class RetentionPlan:
    """What is past its retention: what goes, what is held, and what stays because it is not as it was recorded.

    `unrecorded` batches have no entry in the ledger yet, and go once they have.
    """

    due: list[DueBatch] = field(default_factory=list)
    held: list[HeldHour] = field(default_factory=list)
    differing: list[Finding] = field(default_factory=list)
    unrecorded: list[BatchKey] = field(default_factory=list)


def make_plan(connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> RetentionPlan:
    """What retention would delete at `now` (aware). The connection has `audit` attached, and only reads it.

    Where the ledger or the legal holds are not what they were, nothing is due: a routine must not destroy what may be
    evidence.

    Raises:
        WarehouseError: if what is past its retention cannot be read.
    """
    try:
        return _make_plan(connection, settings, now)
    except duckdb.Error as error:
        raise lake.WarehouseError(
            f"the data that is past its retention cannot be read, so nothing was deleted: {error}; `audit "
            "verify` names the files that are damaged or missing"
        ) from None


def _make_plan(connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> RetentionPlan:
    plan = RetentionPlan()
    candidates = _candidates(connection, settings, now)
    if not candidates:
        return plan
    if not ledger.is_there(connection):
        plan.unrecorded = [delivery.batch for batches in candidates.values() for delivery in batches]
        plan.unrecorded = sorted(set(plan.unrecorded), key=by_hour)
        return plan
    state = check_ledger(connection, expected_heads(settings.ledger_head_file, None))
    plan.differing = [*state.findings, *check_holds(connection)[1]]
    plan.differing = [finding for finding in plan.differing if finding.severity == "error"]
    if plan.differing:
        return plan
    _keep_due(connection, list(candidates))
    plan.held = held_hours(connection, list(candidates), standing(rows_of(connection)))
    for hour in plan.held:
        del candidates[hour.feed, hour.feed_hour_utc]
    _judge(connection, settings, candidates, plan)
    return plan


def _candidates(
    connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime
) -> dict[FeedHour, list[PublishedDelivery]]:
    """The deliveries of every feed hour past its retention that has a batch that was not deleted, by feed hour."""
    hours = _past_hours(connection, settings, now)
    if not hours:
        return {}
    _keep_due(connection, hours)
    has_hash = "raw_sha256" in {
        row[0] for row in connection.execute(f"describe {published_deliveries.TABLE}").fetchall()
    }
    columns = (
        published_deliveries.COLUMNS
        if has_hash
        else published_deliveries.COLUMNS.replace("raw_sha256", "null as raw_sha256")
    )
    rows = connection.execute(
        f"select {columns} from ({_not_deleted(connection)}) where {_DUE} "
        "order by feed_hour_utc, feed, run_id, delivery_id"
    ).fetchall()
    found: dict[FeedHour, list[PublishedDelivery]] = {}
    for delivery in (PublishedDelivery(*row) for row in rows):
        found.setdefault((delivery.feed, delivery.feed_hour_utc), []).append(delivery)
    return found


def _past_hours(connection: duckdb.DuckDBPyConnection, settings: Settings, now: datetime) -> list[FeedHour]:
    """The feed hours past their retention that have a batch that was not deleted."""
    rules = settings.retention_rules
    if not rules.deletes:
        return []
    hours = connection.execute(
        f"select distinct feed, feed_hour_utc from ({_not_deleted(connection)}) where feed_hour_utc < ? order by all",
        [naive(now - HOUR)],
    )
    found: list[FeedHour] = []
    # Of a long history nearly all are still to be kept.
    while part := hours.fetchmany(_HOURS_AT_A_TIME):
        found += [(feed, hour) for feed, hour in part if rules.is_past(feed, aware(hour), now)]
    return found


def _not_deleted(connection: duckdb.DuckDBPyConnection) -> str:
    """The query of the deliveries whose batch was not deleted."""
    if not ledger.is_there(connection):
        return f"select * from {published_deliveries.TABLE}"
    return f"""
        select * from {published_deliveries.TABLE}
        anti join (
            select feed, feed_hour_utc, run_id from audit.{ledger.TABLE} where kind = '{DELETION}'
        ) as deleted using (feed, feed_hour_utc, run_id)
    """


def _keep_due(connection: duckdb.DuckDBPyConnection, hours: list[FeedHour]) -> None:
    """Put feed hours where conditions find them: a temporary table, which a reader may have too."""
    arrow_rows.create(connection, "temp table due_hour", ("feed", "feed_hour_utc"), hours)


def _judge(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    candidates: dict[FeedHour, list[PublishedDelivery]],
    plan: RetentionPlan,
) -> None:
    """Compare every batch of these hours with the ledger and its raw files; what is as it was is due."""
    if not candidates:
        return
    _keep_due(connection, list(candidates))
    deleted = ledger.deleted_batches(connection, _DUE)
    by_time: dict[datetime, int] = {}
    for (_, time), deliveries in candidates.items():
        by_time[time] = by_time.get(time, 0) + sum(delivery.received for delivery in deliveries)
    recorded: dict[BatchKey, Entry] = {}
    found: dict[BatchKey, BatchDigest] = {}
    again: dict[BatchKey, ReplayedRows] = {}
    has_replays = replays.is_there(connection)
    for part in slices(sorted(by_time.items()), (min(by_time), max(by_time) + HOUR)):
        where = f"{condition(part)} and {_DUE}"
        recorded |= {entry.batch.key: entry for entry in ledger.batches_of(connection, where)}
        found |= {batch.key: batch for batch in digests.batches(connection, "audit", where)}
        again |= replays.replayed_rows(connection, "audit", where) if has_replays else {}
    keys: dict[FeedHour, set[BatchKey]] = defaultdict(set)
    for key in recorded.keys() | found.keys() | again.keys():
        keys[key[:2]].add(key)
    for hour, deliveries in candidates.items():
        waiting = {one.batch for one in deliveries if one.raw_sha256 is None} - recorded.keys()
        wrong = [
            finding
            for key in sorted(keys[hour] - waiting)
            for finding in _wrong(recorded.get(key), found.get(key, no_rows(key)), again.get(key), key in deleted)
        ]
        due, damaged = _due(settings, hour[0], sorted(keys[hour] - deleted), deliveries, recorded)
        plan.unrecorded += sorted(waiting)
        plan.differing += wrong + damaged
        if not (wrong or damaged or waiting):
            plan.due += due


def _wrong(recorded: Entry | None, found: BatchDigest, again: ReplayedRows | None, is_deleted: bool) -> list[Finding]:
    if recorded is None:
        detail = "the ledger has no entry of it"
        return [Finding("ledger", "missing", batch_name(found.key), detail)]
    compare = deleted_differences if is_deleted else differences
    return list(compare(recorded, found, again))


def _due(
    settings: Settings,
    feed: str,
    keys: list[BatchKey],
    deliveries: list[PublishedDelivery],
    recorded: dict[BatchKey, Entry],
) -> tuple[list[DueBatch], list[Finding]]:
    """The batches of an hour with their raw files, and what is wrong with these."""
    store = raw_lake(settings).store
    names = [delivery.raw_path for delivery in deliveries]
    findings = []
    sizes: dict[BatchKey, list[int]] = {}
    hashes = each_sha256_or_error(names, store.open, store.at_once)
    for name, delivery, sha256 in zip(names, deliveries, hashes, strict=True):
        if finding := hash_finding(store, delivery, sha256):
            findings.append(finding)
        elif isinstance(sha256, str):
            sizes.setdefault(delivery.batch, []).append(store.size(name))
    rule = settings.retention_rules.of(feed).text
    due = [
        DueBatch(recorded[key].batch, rule, len(sizes.get(key, [])), sum(sizes.get(key, [])))
        for key in keys
        if key in recorded
    ]
    return due, findings
