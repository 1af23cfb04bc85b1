"""Checks the files: raw files as they were published, and delivered files as they were landed.

It goes from one slice of feed hours to the next, so that what is in memory does not grow with the history. What was
delivered belongs to the source, so a change there is a warning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from activity_audit.base.faults import DamagedError
from activity_audit.base.hours import HOUR, aware
from activity_audit.evidence.verify import published_deliveries
from activity_audit.evidence.verify.findings import Finding, unreadable
from activity_audit.evidence.verify.published_deliveries import PublishedDelivery
from activity_audit.evidence.verify.raw_folders import all_days, files_elsewhere, files_of_hours, hour_of
from activity_audit.ingest.scratch import in_use
from activity_audit.ingest.sources.file_systems import LocalFiles, local_path, path_of, shown_path
from activity_audit.ledger import ledger
from activity_audit.ledger.chain import BatchKey
from activity_audit.ledger.raw_hashes import ABSENT, each_sha256_or_error
from activity_audit.ledger.slices import Slice, condition
from activity_audit.raw.files import delivery_in, manifest_hash_shown
from activity_audit.raw.index import LandedDelivery
from activity_audit.raw.lake import RawLake
from activity_audit.raw.store import RawStore


@dataclass
class FileState:
    """What was looked at: raw files, deliveries that wait for a run, delivered files; and what is wrong with them."""

    hashed: int = 0
    waiting: int = 0
    delivered: int = 0
    findings: list[Finding] = field(default_factory=list)
    # The paths, relative to the raw lake, of published files that are not what they were.
    damaged: set[str] = field(default_factory=set)


def check_files(
    own: duckdb.DuckDBPyConnection,
    raw: RawLake,
    feed_root: str,
    bounds: Slice,
    now: duckdb.DuckDBPyConnection | None,
) -> FileState:
    """Hash the raw files of these feed hours and what is still there of the delivered ones, and look for others.

    The connection is to the snapshot that is checked. If that is one of earlier, `now` is a connection to the warehouse
    as it is now: retention may have removed files since.
    """
    state = FileState()
    # Listed first, so that a store that is out of reach is reported once, and not for each file.
    days = all_days(raw.store)
    if bounds == (None, None):
        _check_others(raw, list(files_elsewhere(raw.store)), state)
    try:
        for part in published_deliveries.parts(own, bounds):
            where = condition(part)
            published = published_deliveries.published(own, f"feed_hour_utc is not null and {where}")
            removed = ledger.deleted_batches(now, where) if now else ()
            names = _check_raw(raw.store, published, ledger.deleted_batches(own, where), removed, state)
            _check_others(raw, [path for path in files_of_hours(raw.store, days, part) if path not in names], state)
            compared, changed = check_landing(feed_root, published)
            state.delivered += compared
            state.findings += changed
    except duckdb.Error as error:
        state.findings.append(unreadable("the files of quality.feed_delivery", error))
    return state


def _check_raw(
    store: RawStore,
    published: Sequence[PublishedDelivery],
    deleted: Collection[BatchKey],
    removed: Collection[BatchKey],
    state: FileState,
) -> set[str]:
    """Hash the raw files of these deliveries; the names of these files.

    Those of the batches that retention `deleted` are to be gone; those of the batches `removed` may be.
    """
    gone = {delivery.raw_path for delivery in published if delivery.batch in deleted}
    for path in sorted(gone.difference(store.missing(gone))):
        detail = "retention deleted its batch, but the file exists; `audit maintain` removes it"
        state.findings.append(Finding("raw", "added", store.shown(path), detail, "warning"))
    expected = {delivery.raw_path: delivery for delivery in published if delivery.raw_path not in gone}
    hashes = each_sha256_or_error(expected, store.open, store.at_once)
    for (path, delivery), found in zip(expected.items(), hashes, strict=True):
        is_removed = found is None and delivery.batch in removed
        finding = None if is_removed else hash_finding(store, delivery, found)
        if finding:
            state.findings.append(finding)
        if finding or not isinstance(found, str):
            state.damaged.add(path)
        state.hashed += isinstance(found, str)
    return gone | expected.keys()


def hash_finding(store: RawStore, delivery: PublishedDelivery, found: str | OSError | None) -> Finding | None:
    """What is wrong with the raw file of a delivery, whose hash is `found`; None where nothing is."""
    path = store.shown(delivery.raw_path)
    if isinstance(found, OSError):
        return Finding("raw", "unreadable", path, f"it cannot be read: {found.strerror or found}")
    if found is None:
        if delivery.raw_sha256 == ABSENT:
            return None
        detail = f"the records of {delivery.name} ({delivery.received}) are gone; restore the file from a backup"
        return Finding("raw", "missing", path, detail)
    if delivery.raw_sha256 in (None, ABSENT, found):
        return None
    detail = (
        f"its hash is {found}, and was {delivery.raw_sha256} when {delivery.name} was published; "
        f"{_look(store, delivery)}"
    )
    return Finding("raw", "changed", path, detail)


def _look(store: RawStore, delivery: PublishedDelivery) -> str:
    """What can be told about a file that is not what it was."""
    held = _delivery_in(store, delivery.raw_path)
    if held is None:
        return "it is no longer a file of a raw lake"
    if held.records != delivery.received:
        return f"it has {held.records} records now; it had {delivery.received}"
    return f"it still has {held.records} records"


def _delivery_in(store: RawStore, name: str) -> LandedDelivery | None:
    """The delivery that a file says it holds, if it says so in the way that landing does."""
    try:
        return delivery_in(store, name)
    except (OSError, DamagedError):
        return None


def _check_others(raw: RawLake, others: list[str], state: FileState) -> None:
    """What is published nowhere: manifests, deliveries that wait for a run, and what does not belong there."""
    unknown, store = [], raw.store
    manifests = [path for path in others if manifest_hash_shown(path)]
    for path, found in zip(manifests, each_sha256_or_error(manifests, store.open, store.at_once), strict=True):
        shown = manifest_hash_shown(path) or ""
        if not isinstance(found, str) or not found.startswith(shown):
            detail = f"the manifest's hash is {found}; when it was landed, it began with {shown}"
            state.findings.append(Finding("raw", "changed", store.shown(path), detail))
    for path in others:
        if manifest_hash_shown(path):
            continue
        if path.endswith(".parquet"):
            unknown.append(path)
        else:
            detail = "it is not a file of the raw lake, and is never read"
            state.findings.append(Finding("raw", "added", store.shown(path), detail, "warning"))
    if not unknown:
        return
    # Asked in this order, because a pass that ends between the two has recorded its files.
    is_landing = in_use(raw)
    is_complete = raw.index.is_complete()
    hours = [hour for path in unknown if (hour := hour_of(path))]
    landed: set[str] = set()
    if is_complete and hours:
        feeds = {path.partition("/")[0] for path in unknown}
        window = (aware(min(hours)), aware(max(hours)) + HOUR)
        landed = {delivery.raw_path for delivery in raw.index.deliveries(feeds, window)}
    for path in unknown:
        held = _delivery_in(store, path)
        # One that a pass has written and not recorded yet is what its name says.
        may_be_landed = held is not None and held.raw_path == path and (is_landing or not is_complete)
        if path in landed or may_be_landed:
            state.waiting += 1
        else:
            detail = "it was never landed: no run published it, and the index of the raw lake does not list it"
            state.findings.append(Finding("raw", "added", store.shown(path), detail))


def check_landing(feed_root: str, published: Iterable[PublishedDelivery]) -> tuple[int, list[Finding]]:
    """Hash what is still there of the delivered files below a local folder; how many, and what differs.

    A file that is gone is no finding: what is landed is in the raw lake.
    """
    root = local_path(feed_root)
    if root is None:
        return 0, []
    known = defaultdict(set)
    for delivery in published:
        uri_path = path_of(delivery.source_uri)
        if uri_path and (path := Path(uri_path)).is_relative_to(root) and path.is_file():
            known[path].add(delivery.sha256)
    findings = []
    files = LocalFiles(root)
    hashes = each_sha256_or_error(known, lambda path: files.open(str(path)))
    for path, found in zip(known, hashes, strict=True):
        if isinstance(found, OSError):
            detail = f"it cannot be read: {found.strerror or found}"
            findings.append(Finding("landing", "unreadable", shown_path(str(path)), detail, "warning"))
        elif found is not None and found not in known[path]:
            detail = (
                f"its hash is {found}, which was not published under this name; the next run reads it as a new delivery"
            )
            findings.append(Finding("landing", "changed", shown_path(str(path)), detail, "warning"))
    return len(known), findings
