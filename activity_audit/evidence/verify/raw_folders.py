"""Lists the raw lake: the files of some feed hours, and those that are in no feed hour's folder.

Together they are every file of the deliveries; index, pages and scratch space are left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from datetime import datetime

from activity_audit.ledger.slices import Slice, is_within
from activity_audit.raw.database import INDEX_NAME
from activity_audit.raw.files import PAGES
from activity_audit.raw.notes import NAMES
from activity_audit.raw.store import RawStore

_OF_AN_HOUR = re.compile("[^/]+/([0-9]{4}-[0-9]{2}-[0-9]{2})/([0-9]{2})(?:/.*)?", re.DOTALL)
_AFTER_ALL_DAYS = "~"


def all_days(store: RawStore) -> set[str]:
    """The names of the folders in the feeds' folders, which are days."""
    return {day for feed in store.folders() for day in store.folders(feed)}


def files_of_hours(store: RawStore, days: Collection[str], part: Slice) -> Iterator[str]:
    """Every file in the folders of the feed hours of a slice; `days` are all that there are."""
    first, last = (f"{hour:%Y-%m-%d}" if hour else "" for hour in part)
    within = {day for day in days if first <= day <= (last or _AFTER_ALL_DAYS)}
    for path in store.files(_is_beside, within):
        hour = hour_of(path)
        if hour is not None and is_within(hour, part):
            yield path


def files_elsewhere(store: RawStore) -> Iterator[str]:
    """Every other file."""
    return (path for path in store.files(_is_beside, None) if hour_of(path) is None)


def hour_of(path: str) -> datetime | None:
    """The feed hour of a file of the raw lake, as a plain UTC timestamp; None if it is in no feed hour's folder."""
    found = _OF_AN_HOUR.fullmatch(path)
    try:
        # `strptime` takes ten times as long.
        return datetime.fromisoformat("T".join(found.groups())) if found else None
    except ValueError:
        return None


def _is_beside(name: str) -> bool:
    return name == PAGES or name in NAMES or name.startswith(INDEX_NAME)
