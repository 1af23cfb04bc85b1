"""Checks that the published tables have exactly the batches of the ledger, one slice of feed hours at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import duckdb

from activity_audit.evidence.verify.check_deletions import returned
from activity_audit.evidence.verify.findings import Finding, Layer, Problem, batch_name, rows_added
from activity_audit.ledger import digests, ledger, replays
from activity_audit.ledger.chain import REPLAY, BatchDigest, BatchKey, Entry, by_hour, no_rows
from activity_audit.ledger.replays import ReplayedRows, as_replay, no_replayed_rows


@dataclass(frozen=True)
class Differing:
    """A batch whose events are not those of its entry; `finding` says so while nothing more is known.

    With a `data_file`, only the batch's events in that file are meant.
    """

    key: BatchKey
    finding: Finding | None
    data_file: str | None = None


@dataclass
class SliceState:
    """What a slice has: how many batches, those of them that retention deleted, and rows; and what is wrong."""

    batches: int
    deleted: int
    # How many rows of each table were looked at.
    rows: Counter[Layer]
    findings: list[Finding]
    differing: list[Differing]


def check_batches(
    connection: duckdb.DuckDBPyConnection,
    where: str,
    edited: set[int],
    uncovered: set[BatchKey],
    deleted: Collection[BatchKey] = (),
) -> SliceState:
    """Recompute the digests of every batch that the condition holds, and compare them with the ledger.

    Entries whose numbers are `edited` are no measure for anything. The batches `uncovered` need have no entry yet,
    and of those that retention `deleted` nothing but the deliveries is to be there.

    Raises:
        duckdb.Error: if a table cannot be read.
    """
    recorded: dict[BatchKey, Entry] = {}
    findings: list[Finding] = []
    for entry in ledger.batches_of(connection, where):
        if entry.batch.key in recorded:
            detail = f"entry {recorded[entry.batch.key].sequence} is for the same batch, {batch_name(entry.batch.key)}"
            findings.append(Finding("ledger", "added", f"entry {entry.sequence}", detail))
        recorded.setdefault(entry.batch.key, entry)
    found = {batch.key: batch for batch in digests.batches(connection, "audit", where)}
    replayed = replays.replayed_rows(connection, "audit", where) if replays.is_there(connection) else {}
    differing = []
    keys = recorded.keys() | found.keys() | replayed.keys()
    for key in sorted(keys, key=by_hour):
        known, batch, again = recorded.get(key), found.get(key, no_rows(key)), replayed.get(key)
        is_replay = known is not None and known.kind == REPLAY
        if again and not is_replay:
            detail = f"{again.rows} rows of quality.replayed_record of a replay that the ledger does not have"
            findings.append(Finding("replay", "added", batch_name(key), detail))
        if known is None:
            findings += [] if key in uncovered else _without_entry(batch)
        elif key in deleted:
            findings += deleted_differences(known, batch, again)
        elif known.sequence not in edited:
            for finding in differences(known, batch, again):
                if finding.layer == "fact":
                    differing.append(Differing(key, finding))
                else:
                    findings.append(finding)
    rows: Counter[Layer] = Counter()
    for batch in found.values():
        rows.update(fact=batch.accepted, quarantine=batch.quarantined, delivery=batch.deliveries)
    rows["replay"] = sum(again.rows for again in replayed.values())
    return SliceState(len(recorded), len(deleted), rows, findings, differing)


def _without_entry(batch: BatchDigest) -> list[Finding]:
    """A batch with deliveries was published, so its entry is gone; rows without any never were a batch."""
    name = batch_name(batch.key)
    if batch.deliveries:
        return [Finding("ledger", "missing", name, "the batch is published, but the ledger has no entry for it")]
    why = "of a batch that was never published"
    return list(rows_added(name, why, ("fact", batch.accepted), ("quarantine", batch.quarantined)))


def differences(entry: Entry, now: BatchDigest, again: ReplayedRows | None) -> Iterator[Finding]:
    """What differs between a batch as its entry has it and as the tables do: its rows, and its replayed records."""
    return _replay_differences(entry.batch, now, again) if entry.kind == REPLAY else _own_differences(entry.batch, now)


def deleted_differences(entry: Entry, now: BatchDigest, again: ReplayedRows | None) -> Iterator[Finding]:
    """The same for a batch that retention deleted: only its deliveries and its replayed records are to be there."""
    yield from returned(now)
    yield from (finding for finding in differences(entry, now, again) if finding.layer in ("delivery", "replay"))


def _own_differences(then: BatchDigest, now: BatchDigest) -> Iterator[Finding]:
    name = batch_name(then.key)
    yield from _event_differences(then, now)
    if then.deliveries_sha256 != now.deliveries_sha256 or _delivered(then) != _delivered(now):
        counts = [
            f"{count} {getattr(then, count)} → {getattr(now, count)}"
            for count in ("deliveries", "received", "duplicate")
            if getattr(then, count) != getattr(now, count)
        ]
        detail = "its rows of quality.feed_delivery differ from those that were published"
        problem = _problem(then.deliveries, now.deliveries)
        yield Finding("delivery", problem, name, ": ".join([detail, *([", ".join(counts)] if counts else [])]))
    if then.quarantined_sha256 != now.quarantined_sha256 or then.quarantined != now.quarantined:
        problem = _problem(then.quarantined, now.quarantined)
        yield Finding("quarantine", problem, name, _rows("quarantined records", then.quarantined, now.quarantined))


def _event_differences(then: BatchDigest, now: BatchDigest) -> Iterator[Finding]:
    if then.events_sha256 != now.events_sha256 or then.accepted != now.accepted:
        detail = _rows("events", then.accepted, now.accepted)
        yield Finding("fact", _problem(then.accepted, now.accepted), batch_name(then.key), detail)


def _replay_differences(then: BatchDigest, now: BatchDigest, again: ReplayedRows | None) -> Iterator[Finding]:
    """What differs in the batch of a replay: it added no deliveries and no quarantined records."""
    name = batch_name(then.key)
    replayed = as_replay(now, again or no_replayed_rows(then.key))
    yield from _event_differences(then, now)
    if then.deliveries_sha256 != replayed.deliveries_sha256 or _delivered(then) != _delivered(replayed):
        problem = _problem(then.received, replayed.received)
        yield Finding("replay", problem, name, _rows("replayed records", then.received, replayed.received))
    why = "name a replay as their run, and a replay adds none"
    yield from rows_added(name, why, ("delivery", now.deliveries), ("quarantine", now.quarantined))


def _delivered(batch: BatchDigest) -> tuple[int, ...]:
    return batch.deliveries, batch.received, batch.duplicate


def _problem(then: int, now: int) -> Problem:
    return "missing" if now < then else "added" if now > then else "changed"


def _rows(what: str, then: int, now: int) -> str:
    if then == now:
        return f"its {then} {what} differ from those that were published"
    return f"it has {now} {what} now; it had {then} when it was published"
