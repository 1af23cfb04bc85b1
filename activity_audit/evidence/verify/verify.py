"""The whole check: ledger, delivered files, raw files, and the published tables as one snapshot has them.

It reads only, needs no lock, and may run beside a run, whose batches it then does not see.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from activity_audit.base.hours import naive
from activity_audit.dbt_runner.project import TransformError
from activity_audit.evidence.verify.check_deletions import check_deletions
from activity_audit.evidence.verify.check_files import PublishedDelivery, check_landing, check_raw
from activity_audit.evidence.verify.check_ledger import Expected, LedgerState, check_holds, check_ledger, expected_heads
from activity_audit.evidence.verify.check_slices import Known, check_slices
from activity_audit.evidence.verify.data_files import wrong_files
from activity_audit.evidence.verify.findings import Finding, Report, batch_name, listed, unreadable
from activity_audit.evidence.verify.naming import name_events
from activity_audit.ledger import ledger, replays
from activity_audit.ledger.chain import DELETION, BatchKey
from activity_audit.ledger.head import describe
from activity_audit.ledger.slices import Slice, condition
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake, spill

Window = tuple[datetime, datetime]


@dataclass(frozen=True)
class _Recorded:
    """What the warehouse says was published in a window, deleted of it, and replayed; and what is wrong with that.

    Of the batches `removed` retention has deleted the raw files since, if the snapshot is one of earlier.
    """

    window: Window | None
    published: list[PublishedDelivery]
    deleted: set[BatchKey]
    removed: set[BatchKey]
    replayed: set[BatchKey]
    findings: list[Finding]


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
    removed: set[BatchKey] = set()
    try:
        if expected is None:
            removed = _deleted_by_now(settings)
            newest = ledger.newest(connection)
            expected = expected_heads(settings.ledger_head_file, None, newest.sequence if newest else 0)
        state = check_ledger(connection, expected)
        parts = [_recorded(connection, window, removed) for window in windows]
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
    for part in parts:
        _check_window(connection, settings, part, state, report, scratch)
    # A data file that cannot be read is met in every window.
    report.findings = list(dict.fromkeys(report.findings))
    return report


def _check_window(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    part: _Recorded,
    state: LedgerState,
    report: Report,
    scratch: Path,
) -> None:
    published = part.published
    report.findings += part.findings
    uncovered = {delivery.batch for delivery in published if delivery.raw_sha256 is None}
    batches = {delivery.batch for delivery in published} | part.replayed
    tables = Report(report.from_hour, report.to_hour)
    # Files are read and hashed while DuckDB reads the tables, so that neither disk nor processor waits for the other.
    with ThreadPoolExecutor(1, thread_name_prefix="verify-files") as pool:
        files = pool.submit(_check_files, settings, part, report)
        known = Known(uncovered, part.deleted, batches)
        differing = check_slices(connection, _bounds(part.window), state, known, tables)
        damaged = files.result()
    if uncovered:
        report.findings.append(_uncovered(uncovered))
    report.add(tables)
    if part.deleted:
        report.count("batches that retention deleted", len(part.deleted))
    if differing:
        own = Path(tempfile.mkdtemp(dir=scratch))
        try:
            report.findings += name_events(connection, settings, differing, published, damaged, own)
        except TransformError as error:
            report.findings += [found.finding for found in differing if found.finding]
            detail = f"they cannot be named, because the records could not be judged again: {error}"
            report.findings.append(Finding("fact", "unreadable", "event ids", detail, "warning"))


def _check_files(settings: Settings, part: _Recorded, report: Report) -> set[str]:
    """Hash the raw files and what is still there of the delivered ones; the raw files that are not what they were."""
    raw = check_raw(raw_lake(settings), part.published, part.window, part.deleted, part.removed)
    report.count("raw files", raw.hashed)
    report.count("raw files that wait for a run", raw.waiting)
    report.findings += raw.findings
    compared, changed = check_landing(settings.feed_root, part.published)
    report.count("delivered files that are still there", compared)
    report.findings += changed
    return raw.damaged


def _recorded(connection: duckdb.DuckDBPyConnection, window: Window | None, removed: set[BatchKey]) -> _Recorded:
    where = condition(_bounds(window))
    deleted, findings = check_deletions(connection, where)
    published, replayed = _published(connection, where), replays.recorded(connection, where)
    return _Recorded(window, published, deleted, removed, replayed, findings)


def _deleted_by_now(settings: Settings) -> set[BatchKey]:
    """The batches that retention has deleted, by the ledger as it is now."""
    with lake.reader(settings) as connection:
        return {entry.batch.key for entry in ledger.of_kind(connection, DELETION)}


def _bounds(window: Window | None) -> Slice:
    return (naive(window[0]), naive(window[1])) if window else (None, None)


def _published(connection: duckdb.DuckDBPyConnection, where: str) -> list[PublishedDelivery]:
    rows = connection.execute(
        "select delivery_id, feed, feed_hour_utc, run_id, name, source_uri, sha256, received, raw_sha256 "
        f"from audit.quality.feed_delivery where {where} order by feed_hour_utc, feed, name"
    ).fetchall()
    return [PublishedDelivery(*row) for row in rows]


def _uncovered(batches: set[BatchKey]) -> Finding:
    names = listed(batch_name(key) for key in sorted(batches, key=lambda key: (key[1], key[0])))
    detail = (
        "a release without a ledger published them, and the next run records them, such as `audit run --from T --to T` "
        f"over any hour: {names}"
    )
    return Finding("ledger", "missing", f"{len(batches)} batches", detail)
