"""The first feed hour of Dagster's partitions, so that they start no earlier than there is data.

Dagster's partitions are fixed while code is loaded. What comes of an hour before them is noted here, and what is
loaded next begins with it; `orchestration.serving.processes` sees the note, and loads the code again.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock

from activity_audit.base.files import rewrite
from activity_audit.base.hours import HOUR, floor_hour, iso, now_utc, parse_time
from activity_audit.ingest.landing import open_index
from activity_audit.raw.lake import raw_lake
from activity_audit.settings.core import Settings

# Beside Dagster's records, which are of the partitions.
NOTE = "first_hour"


def beginning(settings: Settings, hours: Iterable[datetime] = ()) -> datetime:
    """The first feed hour (aware, UTC) of all that are landed, set or noted, of `hours`, and of the hour that is due.

    It is noted, so that it never becomes a later one: Dagster knows partitions by their number from the first.
    """
    known = [*hours, *_noted(settings.dagster_home)]
    if settings.first_hour:
        known.append(settings.first_hour)
    raw = raw_lake(settings)
    if raw.store.is_there() and (landed := open_index(raw).first_hour()):
        known.append(landed)
    due = floor_hour(now_utc() - settings.schedule_lag) - HOUR
    if known:
        _note(settings.dagster_home, min(known))
    return min([*known, due])


def runnable(
    settings: Settings, begin: datetime, ranges: Iterable[tuple[datetime, datetime]]
) -> tuple[list[tuple[datetime, datetime]], bool]:
    """What of the ranges of feed hours can be run by code that begins with `begin`, and whether anything is left.

    What is left is noted, so that the code that is loaded next begins with it.
    """
    ranges = list(ranges)
    first = min((start for start, _ in ranges), default=begin)
    if first >= begin:
        return ranges, False
    beginning(settings, [first])
    return [(max(start, begin), end) for start, end in ranges if end > begin], True


def _noted(folder: Path) -> list[datetime]:
    # A note that somebody damaged is made again.
    with suppress(FileNotFoundError, ValueError):
        return [floor_hour(parse_time((folder / NOTE).read_text(encoding="utf-8")))]
    return []


def _note(folder: Path, first: datetime) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{NOTE}.lock"):
        if first < min(_noted(folder), default=now_utc()):
            rewrite(folder / NOTE, f"{iso(first)}\n")
