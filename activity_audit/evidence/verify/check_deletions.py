"""Checks retention's deletions: the rows are gone, and the ledger and `quality.deletion` agree on them."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb

from activity_audit.evidence.verify.findings import Finding, batch_name, rows_added
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import DELETION, OF_BATCHES, BatchDigest, BatchKey
from activity_audit.warehouse import lake

_KEY = "feed, feed_hour_utc, run_id"
_SAID = (
    "deliveries", "received", "accepted", "duplicate", "quarantined", "events_sha256", "deliveries_sha256",
    "quarantined_sha256",
)  # fmt: skip


def check_deletions(connection: duckdb.DuckDBPyConnection, where: str) -> tuple[set[BatchKey], list[Finding]]:
    """The batches that retention deleted, by the ledger, and what is wrong with how that is recorded.

    `where` is a condition on `feed_hour_utc`.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    entries = ledger.of_kind(connection, DELETION, where)
    deleted = {entry.batch.key for entry in entries}
    findings = []
    if len(entries) > len(deleted):
        detail = "the ledger records the deletion of a batch more than once"
        findings.append(Finding("ledger", "added", f"{len(entries) - len(deleted)} entries", detail))
    findings += _without_batch(connection, where)
    findings += _rows(connection, where)
    return deleted, findings


def returned(batch: BatchDigest) -> Iterator[Finding]:
    """The rows that are there of a batch that retention deleted."""
    why = "of a batch that retention deleted"
    return rows_added(batch_name(batch.key), why, ("fact", batch.accepted), ("quarantine", batch.quarantined))


def _without_batch(connection: duckdb.DuckDBPyConnection, where: str) -> Iterator[Finding]:
    """Entries of deletions that are not what the entry of the batch itself says."""
    same = " and ".join(f"deleted.{name} = batch.{name}" for name in _SAID)
    rows = connection.execute(f"""
        with
        deleted as (select * from audit.{ledger.TABLE} where kind = '{DELETION}' and {where}),
        batch as (select * from audit.{ledger.TABLE} where kind in {OF_BATCHES} and {where})
        select deleted.sequence, {_KEY}, batch.sequence
        from deleted left join batch using ({_KEY})
        where batch.sequence is null or not ({same})
        order by all
    """).fetchall()
    for sequence, feed, hour, run_id, own in rows:
        said = "no entry" if own is None else f"another digest or count in entry {own}"
        detail = f"it records the deletion of {batch_name((feed, hour, run_id))}, of which there is {said}"
        yield Finding("ledger", "changed", f"entry {sequence}", detail)


def _rows(connection: duckdb.DuckDBPyConnection, where: str) -> Iterator[Finding]:
    """Rows of `quality.deletion` that do not agree with the ledger."""
    table = "audit.quality.deletion"
    if not lake.has_table(connection, "quality", "deletion"):
        table = f"(select {_KEY}, 0 as deliveries, 0 as events, 0 as quarantined from audit.{ledger.TABLE} limit 0)"
    rows = connection.execute(f"""
        with
        entry as (select * from audit.{ledger.TABLE} where kind = '{DELETION}' and {where}),
        said as (select * from {table} where {where})
        select {_KEY}, said.feed is null, entry.feed is null
        from entry full join said using ({_KEY})
        where (said.deliveries, said.events, said.quarantined)
            is distinct from (entry.deliveries, entry.accepted, if(entry.deliveries = 0, 0, entry.quarantined))
        order by all
    """).fetchall()
    for feed, hour, run_id, is_gone, is_added in rows:
        name = batch_name((feed, hour, run_id))
        if is_gone:
            yield Finding("deletion", "missing", name, "the ledger records its deletion, but quality.deletion does not")
        elif is_added:
            yield Finding("deletion", "added", name, "quality.deletion records its deletion, but the ledger does not")
        else:
            yield Finding("deletion", "changed", name, "its row in quality.deletion has other counts than its entry")
