"""Checks the published tables against the ledger, in slices of feed hours, several slices at a time."""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import Future

import duckdb

from activity_audit.base.sql_text import parquet_rows
from activity_audit.base.thread_pool import QueryPool
from activity_audit.evidence.verify import published_deliveries
from activity_audit.evidence.verify.check_batches import Differing, SliceState, check_batches
from activity_audit.evidence.verify.check_deletions import check_deletions
from activity_audit.evidence.verify.check_derived import check_derived
from activity_audit.evidence.verify.check_event_ids import check_keys
from activity_audit.evidence.verify.check_ledger import LedgerState
from activity_audit.evidence.verify.check_tables import (
    check_origins,
    check_reconciliation,
    check_resolutions,
    check_unseen,
)
from activity_audit.evidence.verify.data_files import FACT, wrong_files
from activity_audit.evidence.verify.findings import Finding, Layer, Report, batch_name, listed, unreadable
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import REPLAY, BatchKey
from activity_audit.ledger.slices import Slice, condition, even, halves, slices

# DuckDB gives rows to Python by one thread, so that one slice does not keep two processors busy.
FEWEST_AT_A_TIME = 2
# A slice has some ten queries of which each takes a few hundredths of a second, however few its rows. Of quarantined
# records all hashes are in memory at a time, of events those of a part. All slices together have so many events.
_EVENTS_AT_A_TIME = 16_000_000
_EVENTS_FOR_A_QUARANTINED_RECORD = 5
# Of each delivery there are some 4 KB of Python in memory: its batch in the tables, and the entry of that.
_EVENTS_FOR_A_DELIVERY = 400
_KEY = "feed, feed_hour_utc, run_id"
_PUBLISHED = (
    f"select {_KEY} from {published_deliveries.TABLE} "
    f"union all select {_KEY} from audit.{ledger.TABLE} where kind = '{REPLAY}'"
)


def check_slices(
    connection: duckdb.DuckDBPyConnection,
    bounds: Slice,
    state: LedgerState,
    uncovered: set[BatchKey],
    report: Report,
    at_a_time: int,
) -> list[Differing]:
    """Compare the published tables with the ledger, slice by slice; the batches whose events differ are returned.

    The batches `uncovered` need have no entry yet. So many slices are compared at a time.
    """
    weight = f"accepted + {_EVENTS_FOR_A_QUARANTINED_RECORD} * quarantined + {_EVENTS_FOR_A_DELIVERY} * deliveries"
    rows = connection.execute(
        f"""
        select feed_hour_utc, cast(sum({weight}) as bigint) from audit.{ledger.TABLE}
        where {condition(bounds)} group by all order by all
        """
    ).fetchall()
    differing: list[Differing] = []
    failed: list[tuple[str, duckdb.Error]] = []
    deleted = 0
    seen: Counter[Layer] = Counter()
    with QueryPool(connection, at_a_time) as pool:

        def begin(part: Slice) -> tuple[Slice, Future[SliceState]]:
            return part, pool.submit(_check_slice, condition(part), state.edited, uncovered)

        most = even([count for _, count in rows], _EVENTS_AT_A_TIME // at_a_time, at_a_time)
        parts = deque(begin(part) for part in slices(rows, bounds, most))
        keys = pool.submit(check_keys, condition(bounds))
        derived = pool.submit(check_derived, condition(bounds))
        while parts:
            part, checked = parts.popleft()
            try:
                found = checked.result()
            except duckdb.Error as error:
                # One damaged file must not hide what the others have: the hours that do not need it can be checked.
                smaller = halves(rows, part)
                if len(smaller) > 1:
                    parts.extendleft([begin(half) for half in smaller][::-1])
                else:
                    failed.append((condition(part), error))
                continue
            report.count("batches", found.batches)
            report.count("events", found.rows["fact"])
            report.findings += found.findings
            differing += found.differing
            deleted += found.deleted
            seen += found.rows
        if bounds == (None, None) and not failed:
            report.findings += check_unseen(connection, seen)
            report.findings += check_deletions(connection, "feed_hour_utc is null")[1]
        # Keys and counts are made from the fact: where it is not what it was, neither can they be.
        if not (failed or differing or any(finding.layer == "fact" for finding in report.findings)):
            report.findings += [*keys.result().findings, *derived.result()]
        if not failed:
            report.findings += keys.result().doubled
    if failed:
        report.findings.append(unreadable(listed(where for where, _ in failed), failed[0][1]))
        differing += _look_into_files(connection, condition(bounds), report)
    if deleted:
        report.count("batches that retention deleted", deleted)
    return differing


def _check_slice(own: duckdb.DuckDBPyConnection, where: str, edited: set[int], uncovered: set[BatchKey]) -> SliceState:
    """Everything about the tables that can be told of some feed hours by themselves."""
    where = f"feed_hour_utc is not null and {where}"
    deleted, findings = check_deletions(own, where)
    state = check_batches(own, where, edited, uncovered, deleted)
    state.findings += findings
    state.findings += check_origins(own, where)
    state.findings += check_resolutions(own, where)
    state.findings += check_reconciliation(own, where)
    return state


def _look_into_files(connection: duckdb.DuckDBPyConnection, where: str, report: Report) -> list[Differing]:
    """Say which data files are the cause that something could not be read; what is in them is still to be compared."""
    differing = []
    for wrong in wrong_files(connection):
        report.findings.append(wrong.finding)
        if wrong.table != FACT or not wrong.is_readable:
            continue
        try:
            rows = connection.execute(
                f"select {_KEY}, count(*), ({_KEY}) in ({_PUBLISHED}) from {parquet_rows(wrong.path)} "
                f"where {where} group by all order by all"
            ).fetchall()
        except duckdb.Error:
            # It has not even the columns any more; that it was changed is said.
            continue
        for *key, events, is_published in rows:
            batch: BatchKey = tuple(key)
            if is_published:
                differing.append(Differing(batch, None, wrong.path))
            else:
                detail = f"{events} events of a batch that was never published, in {wrong.path}"
                report.findings.append(Finding("fact", "added", batch_name(batch), detail))
    return differing
