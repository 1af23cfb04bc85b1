"""The removal from the raw lake of what retention deleted from the warehouse.

It comes after the warehouse's transaction, and looks at all that was ever deleted: what a killed upkeep left, or what
was landed again because the index was lost, goes with the next one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from activity_audit.base.catalogue import slugs
from activity_audit.base.hours import HOUR_FOLDER, from_hour_folder, naive
from activity_audit.ingest.scratch import in_use
from activity_audit.ledger import ledger
from activity_audit.ledger.deleted import deleted_files
from activity_audit.ledger.hold_rules import HoldRow, standing
from activity_audit.ledger.hold_table import rows_of
from activity_audit.raw.files import PAGES, found_deliveries, manifest_hash_shown
from activity_audit.raw.index import RawIndex, raw_path

if TYPE_CHECKING:
    import duckdb

FeedHour = tuple[str, datetime]


def of_deleted(connection: duckdb.DuckDBPyConnection, raw_dir: Path) -> list[Path]:
    """The files that are there of deleted batches, of feed hours of which nothing else is left, and of no held hour.

    Raw files, manifests, and the pages of an hour of which every feed's part is deleted.
    """
    files = deleted_files(connection) if ledger.is_there(connection) and raw_dir.is_dir() else []
    if not files:
        return []
    holds = standing(rows_of(connection))
    deleted: dict[FeedHour, set[str]] = defaultdict(set)
    for feed, hour, delivery in files:
        if not any(hold.covers(feed, hour) for hold in holds):
            deleted[feed, hour].add(delivery)
    landed: dict[FeedHour, set[str]] = defaultdict(set)
    index = RawIndex(raw_dir)
    for one in index.deliveries(slugs()) if index.is_complete() else found_deliveries(raw_dir):
        landed[one.feed, naive(one.feed_hour)].add(one.delivery_id)
    whole = {hour for hour, deliveries in deleted.items() if landed[hour] <= deliveries}
    days = {path.name: {day.name for day in path.iterdir()} for path in raw_dir.iterdir() if path.is_dir()}
    found = []
    for (feed, hour), deliveries in deleted.items():
        if f"{hour:%Y-%m-%d}" not in days.get(feed, ()):
            continue
        found += [
            path for delivery in sorted(deliveries) if (path := raw_dir / raw_path(feed, hour, delivery)).exists()
        ]
        if (feed, hour) in whole:
            found += _manifests(raw_dir / feed / hour.strftime(HOUR_FOLDER))
    unfinished = {hour for feed, hour in landed.keys() - whole}
    return found + list(_pages(raw_dir, {hour for _, hour in whole} - unfinished, holds))


def remove(files: Iterable[Path], raw_dir: Path) -> None:
    """Remove these files, and the folders that are empty then, unless something is being landed.

    Raises:
        OSError: if one cannot be removed.
    """
    removed = list(files)
    for path in removed:
        path.unlink(missing_ok=True)
    # A landing pass may just have made a folder for its next file.
    if in_use(raw_dir):
        return
    for folder in sorted({path.parent for path in removed}):
        for empty in (folder, folder.parent):
            if empty.exists() and not any(empty.iterdir()):
                empty.rmdir()


def _manifests(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("[!.]*.json")) if manifest_hash_shown(path.name))


def _pages(raw_dir: Path, hours: Collection[datetime], holds: Collection[HoldRow]) -> Iterator[Path]:
    """The pages of these hours. The mark that an hour is sealed stays, so that it is not asked for again."""
    for path in sorted((raw_dir / PAGES).glob("[!.]*/*/*/[!.]*.parquet")):
        hour = naive(from_hour_folder("/".join(path.parts[-3:-1])))
        if hour in hours and not any(hold.covers(feed, hour) for hold in holds for feed in slugs()):
            yield path
