"""Makes a pack from one snapshot; its folder appears under its name when it is complete."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from activity_audit.base.hours import aware, ceil_hour, floor_hour, iso, now_utc
from activity_audit.base.masking import without_secrets
from activity_audit.evidence.pack import scope, texts
from activity_audit.evidence.pack.tables import CHAIN, RECORD_HASHES, write_ledger, write_tables
from activity_audit.evidence.pack.texts import settings_shown, versions
from activity_audit.evidence.verify.check_ledger import Expected, expected_heads
from activity_audit.evidence.verify.findings import Report
from activity_audit.evidence.verify.verify import NoLedgerError, verify_snapshot
from activity_audit.ledger import ledger
from activity_audit.ledger.head import describe
from activity_audit.ledger.raw_hashes import each_sha256
from activity_audit.raw.index import raw_path
from activity_audit.raw.lake import raw_lake
from activity_audit.raw.store import RawStore
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from activity_audit.warehouse.events.coverage import coverage_of_file
from activity_audit.warehouse.events.filters import Filters
from activity_audit.warehouse.older_release import explained

FORMAT = "activity-audit-evidence/1"
SUMS = "SHA256SUMS"


class EvidenceError(lake.WarehouseError):
    """The pack cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Options:
    """What else a pack has: the deliveries' raw files; the whole ledger in place of its own entries.

    A `masked` one has neither who did what to whom nor raw records, and no hash by which a guess at them is tested.
    """

    with_raw: bool = False
    whole_ledger: bool = False
    masked: bool = False


@dataclass(frozen=True)
class Pack:
    """A pack that was made: where it is, what its pack.json has, and the hash of its SHA256SUMS, to be sent apart."""

    folder: Path
    about: dict[str, Any]
    sums_sha256: str


def make_pack(
    settings: Settings,
    choose: Callable[[duckdb.DuckDBPyConnection], Filters],
    target: Path,
    at: str | None = None,
    options: Options | None = None,
) -> Pack:
    """Write a pack of the events that the filters keep, of now or `at` a run id or time.

    `choose` says what they are, once it has a reader of the snapshot.

    Raises:
        EvidenceError: if the folder is not empty, or a table cannot be read.
        NoLedgerError: if the snapshot has no ledger.
        WarehouseError: if nothing is published, or the warehouse cannot be reached, or has nothing at that point.
        OSError: if the pack or a raw file cannot be written or read.
    """
    _require_empty(target)
    # Now, because a run may go on to add to both the file and the ledger.
    expected = expected_heads(settings.ledger_head_file, None) if at is None else None
    with lake.reader(settings, at, pinned=True) as connection:
        if not ledger.is_there(connection):
            raise NoLedgerError
        filters = choose(connection)
        target.parent.mkdir(parents=True, exist_ok=True)
        # What a killed run leaves is a hidden folder beside the target, and nothing under its name.
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            scratch, unfinished = Path(folder), Path(folder) / "pack"
            unfinished.mkdir()
            try:
                about = _write(connection, settings, filters, unfinished, scratch, expected, options or Options())
            except duckdb.Error as error:
                if older := explained(connection, error, is_newest=at is None):
                    raise older from None
                message = f"the pack cannot be written: {error}; `audit verify` names damaged files"
                raise EvidenceError(without_secrets(message)) from None
            sums = _write_sums(unfinished)
            _require_empty(target)
            unfinished.replace(target)
    return Pack(target, about, sums)


def _require_empty(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise EvidenceError(f"{target} exists already; name a folder that does not exist, or an empty one")


def _write(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    filters: Filters,
    folder: Path,
    scratch: Path,
    expected: Expected | None,
    options: Options,
) -> dict[str, Any]:
    newest = ledger.newest(connection)
    if newest is None:
        raise NoLedgerError
    scope.choose(connection, filters)
    report = verify_snapshot(connection, settings, scope.windows(connection), expected, scratch)
    tables = write_tables(connection, folder, filters, masked=options.masked)
    entries = write_ledger(connection, folder, filters, whole=options.whole_ledger, masked=options.masked)
    tables.append(entries.entries)
    if options.with_raw:
        _copy_raw(connection, raw_lake(settings).store, folder)
    snapshot, made_at = lake.snapshot(connection), now_utc()
    covered = coverage_of_file(connection, settings, filters, made_at)
    rows = {table.name: table.rows for table in tables}
    about = {
        "format": FORMAT,
        "made_at_utc": iso(made_at),
        "filters": filters.as_dict(),
        "feeds": scope.feeds_of(filters.applications),
        "feed_hours_from": iso(floor_hour(filters.start)),
        "feed_hours_to": iso(ceil_hour(filters.end)),
        "snapshot": {
            "id": snapshot.snapshot_id,
            "taken_at_utc": iso(snapshot.taken_at),
            "newest_run_id": snapshot.run_id,
        },
        "head": describe(newest),
        "intact": report.intact,
        "coverage": covered.as_dict() | {"says": covered.says},
        "rows": rows | ({} if options.masked else {RECORD_HASHES: entries.record_hashes}) | {CHAIN: entries.chain_rows},
        "filtered": bool(filters.fields),
        **asdict(options),
    }
    _write_texts(connection, settings, filters, folder, about, report)
    sql = texts.check_sql(tables, entries, options)
    (folder / "check.sql").write_text(sql, encoding="utf-8")
    return about


def _write_texts(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    filters: Filters,
    folder: Path,
    about: dict[str, Any],
    report: Report,
) -> None:
    found = report.as_dict()
    for name, content in {
        "pack": about,
        "integrity": found,
        "settings": settings_shown(settings),
        "versions": versions(connection),
    }.items():
        text = json.dumps(content, ensure_ascii=False, indent=2, default=_plain)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    (folder / "README.md").write_text(texts.readme(about, filters, found["findings"]), encoding="utf-8")


def _plain(value: Any) -> str:
    """A value of a report that JSON does not have: a time."""
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"{value!r} cannot be written as JSON")


def _copy_raw(connection: duckdb.DuckDBPyConnection, store: RawStore, folder: Path) -> None:
    """Copy the raw files of the pack's deliveries; one that is gone is a finding, and the pack's check says so."""
    deliveries = connection.execute(
        f"select feed, feed_hour_utc, delivery_id from audit.quality.feed_delivery {scope.IN_SCOPE}"
    ).fetchall()
    for feed, hour, delivery_id in deliveries:
        name = raw_path(feed, aware(hour), delivery_id)
        if store.exists(name):
            (folder / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
            store.copy(name, folder / "raw" / name)


def _write_sums(folder: Path) -> str:
    """Write SHA256SUMS over every other file; returns its own hash."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{found}  {path.relative_to(folder).as_posix()}\n"
        for path, found in zip(paths, each_sha256(paths), strict=True)
    ]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return hashlib.sha256("".join(lines).encode()).hexdigest()
