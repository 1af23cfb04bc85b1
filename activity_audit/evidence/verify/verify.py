"""The whole check: ledger, delivered files, raw files, and the published tables as one snapshot has them.

It reads only, needs no lock, and may run beside a run, whose batches it then does not see.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import duckdb

from activity_audit.base.hours import naive
from activity_audit.base.thread_pool import QueryPool
from activity_audit.dbt_runner.project import TransformError
from activity_audit.evidence.verify import published_deliveries
from activity_audit.evidence.verify.check_files import check_files
from activity_audit.evidence.verify.check_ledger import Expected, LedgerState, check_holds, check_ledger, expected_heads
from activity_audit.evidence.verify.check_slices import FEWEST_AT_A_TIME, check_slices
from activity_audit.evidence.verify.data_files import unread_files, wrong_files
from activity_audit.evidence.verify.findings import Finding, Report, batch_name, listed, unreadable
from activity_audit.evidence.verify.naming import name_events
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import BatchKey
from activity_audit.ledger.head import describe
from activity_audit.ledger.slices import Slice, condition
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake, spill

Window = tuple[datetime, datetime]


class NoLedgerError(lake.WarehouseError):
    """The warehouse was published by a release that kept no ledger."""

    def __init__(self) -> None:
        super().__init__(
            "the warehouse has no ledger: an earlier release published it, or the ledger was removed; "
            "`audit run` starts one"
        )


def verify(settings: Settings, window: Window | None = None, expected_head: str | None = None) -> Report:
    """Recompute every hash of the feed hours in the window, or of all, and the whole chain of the ledger.

    Raises:
        NothingPublishedError: if no run has published anything yet.
        NoLedgerError: if the warehouse has no ledger yet.
        WarehouseError: if the warehouse cannot be reached.
    """
    expected = expected_heads(settings.ledger_head_file, expected_head)
    with (
        spill.scratch(settings) as folder,
        lake.reader(settings, pinned=True) as connection,
    ):
        lake.cache_no_files(connection)
        return verify_snapshot(connection, settings, [window], expected, folder)


def verify_snapshot(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    windows: Sequence[Window | None],
    expected: Expected | None,
    scratch: Path,
) -> Report:
    """The same for the snapshot that a pinned reader has, and for several windows; None is all feed hours.

    Of a snapshot of earlier, `expected` is None: it must have the heads that were kept up to its own newest entry, and
    raw files that retention has removed since are not missed. `scratch` is an empty folder for the work, which the
    caller removes.

    Raises:
        NoLedgerError: if the snapshot has no ledger.
        WarehouseError: if the warehouse of now cannot be reached, which is asked about a snapshot of earlier.
    """
    bounded = [window for window in windows if window]
    report = Report(min((start for start, _ in bounded), default=None), max((end for _, end in bounded), default=None))
    if not ledger.is_there(connection):
        raise NoLedgerError
    with ExitStack() as stack:
        now = None
        try:
            if expected is None:
                now = stack.enter_context(lake.reader(settings))
                newest = ledger.newest(connection)
                expected = expected_heads(settings.ledger_head_file, None, newest.sequence if newest else 0)
            state = check_ledger(connection, expected)
            published_deliveries.require_readable(connection)
            holds, wrong_holds = check_holds(connection)
        except duckdb.Error as error:
            report.findings.append(unreadable("the ledger and quality.feed_delivery", error))
            report.findings += [wrong.finding for wrong in wrong_files(connection)]
            return report
        report.head = describe(state.newest) if state.newest else None
        report.count("ledger entries", state.entries)
        report.findings += [*state.findings, *wrong_holds]
        if holds:
            report.count("rows of legal holds", holds)
        for window in windows:
            _check_window(connection, settings, _bounds(window), state, report, scratch, now)
    if None in windows:
        report.findings += unread_files(connection)
    # A data file that cannot be read is met in every window.
    report.findings = list(dict.fromkeys(report.findings))
    return report


def _check_window(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    bounds: Slice,
    state: LedgerState,
    report: Report,
    scratch: Path,
    now: duckdb.DuckDBPyConnection | None,
) -> None:
    uncovered = published_deliveries.without_hash(connection, condition(bounds))
    tables = Report(report.from_hour, report.to_hour)
    # Files are read and hashed while DuckDB reads the tables, so that neither disk nor processor waits for the other.
    with QueryPool(connection, 1) as pool:
        files = pool.submit(check_files, raw_lake(settings), settings.feed_root, bounds, now)
        at_a_time = max(FEWEST_AT_A_TIME, settings.workers)
        differing = check_slices(connection, bounds, state, uncovered, tables, at_a_time)
        found = files.result()
    report.count("raw files", found.hashed)
    report.count("raw files that wait for a run", found.waiting)
    report.count("delivered files that are still there", found.delivered)
    report.findings += found.findings
    if uncovered:
        report.findings.append(_uncovered(uncovered))
    report.add(tables)
    if differing:
        own = Path(tempfile.mkdtemp(dir=scratch))
        try:
            report.findings += name_events(connection, settings, differing, found.damaged, own)
        except TransformError as error:
            report.findings += [batch.finding for batch in differing if batch.finding]
            detail = f"they cannot be named, because the records could not be judged again: {error}"
            report.findings.append(Finding("fact", "unreadable", "event ids", detail, "warning"))


def _bounds(window: Window | None) -> Slice:
    return (naive(window[0]), naive(window[1])) if window else (None, None)


def _uncovered(batches: set[BatchKey]) -> Finding:
    names = listed(batch_name(key) for key in sorted(batches, key=lambda key: (key[1], key[0])))
    detail = (
        "a release without a ledger published them, and the next run records them, such as `audit run --from T --to T` "
        f"over any hour: {names}"
    )
    return Finding("ledger", "missing", f"{len(batches)} batches", detail)
