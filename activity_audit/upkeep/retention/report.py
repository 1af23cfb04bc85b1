"""The summary of what retention deleted, or would delete."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from activity_audit.upkeep.retention.plan import DueBatch, RetentionPlan


@dataclass(frozen=True)
class FeedTotal:
    """What goes of one feed; `bytes` are those of its raw files."""

    feed: str
    retention: str
    hours: int
    events: int
    quarantined: int
    raw_files: int
    bytes: int


def by_feed(due: Iterable[DueBatch]) -> list[FeedTotal]:
    """What goes, by feed."""
    feeds: dict[str, list[DueBatch]] = {}
    for batch in due:
        feeds.setdefault(batch.digest.feed, []).append(batch)
    return [
        FeedTotal(
            feed=feed,
            retention=batches[0].retention,
            hours=len({batch.digest.feed_hour_utc for batch in batches}),
            events=sum(batch.digest.accepted for batch in batches),
            quarantined=sum(batch.quarantined for batch in batches),
            raw_files=sum(batch.raw_files for batch in batches),
            bytes=sum(batch.bytes for batch in batches),
        )
        for feed, batches in sorted(feeds.items())
    ]


def as_dict(plan: RetentionPlan) -> dict[str, Any]:
    """The plan as data, as `--output json` has it."""
    return {
        "feeds": [asdict(total) for total in by_feed(plan.due)],
        "held": [asdict(hour) for hour in plan.held],
        "differing": [asdict(finding) for finding in plan.differing],
        "unrecorded": [
            {"feed": feed, "feed_hour_utc": hour, "run_id": run_id} for feed, hour, run_id in plan.unrecorded
        ],
    }
