"""Checks the files: raw files as they were published, and delivered files as they were landed.

What was delivered belongs to the source, so a change there is a warning.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from activity_audit.base.faults import DamagedError
from activity_audit.base.hours import from_hour_folder, hour_range
from activity_audit.evidence.verify.findings import Finding
from activity_audit.ingest.scratch import in_use
from activity_audit.ingest.sources.file_systems import LocalFiles, local_path, path_of, shown_path
from activity_audit.ledger.chain import BatchKey
from activity_audit.ledger.raw_hashes import ABSENT, each_sha256_or_error
from activity_audit.raw.files import PAGES, SWEEPS, delivery_in, manifest_hash_shown
from activity_audit.raw.index import INDEX_NAME, LandedDelivery, raw_path
from activity_audit.raw.lake import RawLake
from activity_audit.raw.notes import MOVED
from activity_audit.raw.store import RawStore

Window = tuple[datetime, datetime]
# What is at the top of the raw lake, and no delivery.
_BESIDE = (PAGES, SWEEPS, MOVED)


@dataclass(frozen=True)
class PublishedDelivery:
    """A row of `quality.feed_delivery`, as far as files are concerned; its hour is a plain UTC timestamp."""

    delivery_id: str
    feed: str
    feed_hour_utc: datetime
    run_id: str
    name: str
    source_uri: str
    sha256: str
    received: int
    raw_sha256: str | None

    @property
    def batch(self) -> BatchKey:
        """The batch that it was published in."""
        return self.feed, self.feed_hour_utc, self.run_id

    @property
    def raw_path(self) -> str:
        """Where its records are, relative to the raw lake."""
        return raw_path(self.feed, self.feed_hour_utc, self.delivery_id)


@dataclass
class RawState:
    """What the raw lake has: files that were hashed, deliveries that wait for a run, and what is wrong."""

    hashed: int = 0
    waiting: int = 0
    findings: list[Finding] = field(default_factory=list)
    # The paths, relative to the raw lake, of published files that are not what they were, or are not to be there.
    damaged: set[str] = field(default_factory=set)


def check_raw(
    raw: RawLake,
    published: list[PublishedDelivery],
    window: Window | None,
    deleted: Collection[BatchKey] = (),
    removed: Collection[BatchKey] = (),
) -> RawState:
    """Hash the raw files of these deliveries, which are all that are published in the window, and look for others.

    The files of the batches that retention `deleted` are to be gone; those of the batches `removed` may be.
    """
    state, store = RawState(), raw.store
    gone = {delivery.raw_path for delivery in published if delivery.batch in deleted}
    state.damaged |= gone
    for path in sorted(gone.difference(store.missing(gone))):
        detail = "retention deleted its batch, but the file exists; `audit maintain` removes it"
        state.findings.append(Finding("raw", "added", store.shown(path), detail, "warning"))
    expected = {delivery.raw_path: delivery for delivery in published if delivery.raw_path not in gone}
    # Listed first, so that a store that is out of reach is told of once, and not for each file.
    others = [path for path in _files(store, window) if path not in expected and path not in gone]
    hashes = each_sha256_or_error(expected, store.open, store.at_once)
    for (path, delivery), found in zip(expected.items(), hashes, strict=True):
        is_removed = found is None and delivery.batch in removed
        finding = None if is_removed else hash_finding(store, delivery, found)
        if finding:
            state.findings.append(finding)
        if finding or not isinstance(found, str):
            state.damaged.add(path)
        state.hashed += isinstance(found, str)
    _check_others(raw, others, state)
    return state


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


def _files(store: RawStore, window: Window | None) -> Iterator[str]:
    """Every file of the deliveries, no index, pages and scratch space; of a window, those in folders of its hours."""
    days = None if window is None else {f"{hour:%Y-%m-%d}" for hour in hour_range(*window)}
    for name in store.files(lambda name: name in _BESIDE or name.startswith(INDEX_NAME), days):
        if window is None or _is_inside(name.rpartition("/")[0], window):
            yield name


def _is_inside(folder: str, window: Window) -> bool:
    hour = _hour_of(folder)
    return hour is not None and window[0] <= hour < window[1]


def _hour_of(folder: str) -> datetime | None:
    try:
        return from_hour_folder("/".join(folder.split("/")[1:3]))
    except ValueError:
        return None


def _check_others(raw: RawLake, others: list[str], state: RawState) -> None:
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
    feeds = {path.partition("/")[0] for path in unknown}
    landed = {delivery.raw_path for delivery in raw.index.deliveries(feeds)} if is_complete else set()
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
