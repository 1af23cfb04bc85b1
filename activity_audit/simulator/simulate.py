"""The simulator: audit feeds of all applications, seeded and repeatable, with known numbers of every defect.

The content of a feed hour is decided by the seed, the hour, the feed, the number of events an hour and
whether defects are wanted, never by the range: an hour that is simulated again has the same files, byte for
byte. What belongs here is the range and its totals; profiles, events, defects and files have modules of
their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from activity_audit.base import catalogue
from activity_audit.base.hours import HOUR, floor_hour, hour_range, iso
from activity_audit.simulator import files, profiles
from activity_audit.simulator.events import Scenario
from activity_audit.simulator.hours import Tally, simulate_feed_hour
from activity_audit.simulator.plan import HourPlan, plan_hour


def simulate(
    root: Path,
    *,
    hours: int,
    until: datetime,
    events_per_hour: int,
    seed: int,
    defects: bool,
    feeds: Sequence[str] | None = None,
    on_hour: Callable[[datetime], None] | None = None,
    detail: bool = False,
) -> dict[str, Any]:
    """Write the feeds of the hours [until - hours, until) below `root`, and say what must become of them.

    Every feed gets one or two files and a manifest in every hour, even if it has no record. Files whose content
    is there already stay untouched. The numbers are those of a warehouse that takes all of this range, in
    order, and nothing before it: what the first hour delivers again from the hour before it counts as accepted.

    Args:
        root: the folder in which each feed has its folder.
        hours: how many feed hours, at least 1.
        until: the end of the range, an aware time on the hour, UTC.
        events_per_hour: how many records an hour over all feeds together, defects included.
        seed: any number; another seed gives other events.
        defects: whether there are defects and oddities, or clean events only.
        feeds: slugs to write; default all of the report prompt. A feed's files are the same either way, so
            that fewer feeds are fewer records.
        on_hour: called with each feed hour after it has been written.
        detail: whether the result has `by_feed_hour` too, the numbers of every feed and feed hour.

    Returns:
        The range, numbers of files, bytes and records, of each disposition, reason and warning. A record with
        two reasons counts under both. `late` and the other warnings count accepted records.

    Raises:
        ValueError: if a number or time is not as said, or a slug is none of the report prompt's.
        OSError: if a file cannot be written.
    """
    scenario = Scenario(seed, events_per_hour, defects)
    slugs = _wanted(feeds)
    _check(hours, until, events_per_hour)
    start = until - hours * HOUR
    total, count, size = Tally(), 0, 0
    by_feed_hour: list[dict[str, Any]] = []
    for hour in hour_range(start, until):
        plan = plan_hour(scenario, hour)
        for slug in slugs:
            tally, sizes = _write_feed_hour(root, scenario, plan, hour, slug, previous_taken=hour > start)
            total.merge(tally)
            count += len(sizes)
            size += sum(sizes)
            if detail:
                by_feed_hour.append(_feed_hour_numbers(slug, hour, tally))
        if on_hour:
            on_hour(hour)
    result = {
        "from": iso(start),
        "to": iso(until),
        "feeds": len(slugs),
        "feed_hours": len(slugs) * hours,
        "files": count,
        "bytes": size,
        **total.dispositions(),
        "reasons": total.reason_numbers(),
        "warnings": total.warning_numbers(),
    }
    return {**result, "by_feed_hour": by_feed_hour} if detail else result


def _wanted(feeds: Sequence[str] | None) -> list[str]:
    known = catalogue.report_prompt_slugs()
    unknown = sorted(set(feeds or ()) - set(known))
    if unknown:
        raise ValueError(f"not a feed of the report prompt: {', '.join(unknown)}; the feeds are {', '.join(known)}")
    return known if feeds is None else [slug for slug in known if slug in feeds]


def _check(hours: int, until: datetime, events_per_hour: int) -> None:
    if hours < 1:
        raise ValueError(f"hours must be at least 1, not {hours}")
    if events_per_hour < 0:
        raise ValueError(f"events_per_hour must not be negative, but is {events_per_hour}")
    if until.tzinfo is None or floor_hour(until) != until:
        raise ValueError(f"until must be a UTC time on the hour, not {until.isoformat()}")


def _write_feed_hour(
    root: Path, scenario: Scenario, plan: HourPlan, hour: datetime, slug: str, previous_taken: bool
) -> tuple[Tally, list[int]]:
    records_by_name, tally = simulate_feed_hour(scenario, plan, hour, slug, previous_taken)
    folder = root / slug / f"{hour:%Y-%m-%d}" / f"{hour:%H}"
    file_format, extra_field = profiles.file_format(slug, hour), profiles.profile(slug).extra_field
    written = [
        (name, len(records), files.encode(records, file_format, hour, extra_field))
        for name, records in records_by_name.items()
    ]
    for name, _, content in written:
        files.write_if_changed(folder / name, content)
    # Last, so that no manifest ever names a file that is still to come.
    files.write_manifest(folder, written)
    return tally, [len(content) for _, _, content in written]


def _feed_hour_numbers(slug: str, hour: datetime, tally: Tally) -> dict[str, Any]:
    warnings = tally.warning_numbers()
    return {
        "feed": slug,
        "feed_hour": iso(hour),
        **tally.dispositions(),
        "offset_normalised": warnings["offset_normalised"],
        "late": warnings["late"],
    }
