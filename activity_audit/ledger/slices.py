"""Slices of the feed hours, or of other times, each of them small enough that its rows fit into memory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from math import ceil

# Sorted, the hashes of so many events take about 200 MB.
_MOST_ROWS = 1_000_000

Slice = tuple[datetime | None, datetime | None]


def slices(rows: Iterable[tuple[datetime, int]], window: Slice = (None, None), most: int = _MOST_ROWS) -> list[Slice]:
    """The window as half-open ranges in order, of at most `most` rows each, or one feed hour.

    `rows` says how many there are in each feed hour of the window, in order; None stands for no bound.
    """
    bounds = [window[0]]
    held = 0
    for hour, count in rows:
        if held and held + count > most:
            bounds.append(hour)
            held = 0
        held += count
    return list(zip(bounds, [*bounds[1:], window[1]], strict=True))


def even(hours: list[int], most: int, workers: int) -> int:
    """How many rows to have in a slice, so that workers who share the slices have as much to do as each other.

    `hours` says how many rows there are in each feed hour. It is no more than `most` and one feed hour, because a slice
    that ends with its hour is seldom full, and what is left over would be a slice too many.
    """
    rounds = ceil(sum(hours) / (most * workers))
    return ceil(sum(hours) / (rounds * workers)) + max(hours) if rounds else most


def halves(rows: list[tuple[datetime, int]], part: Slice) -> list[Slice]:
    """A slice in two or three, of which none has more than half of its rows or more than one feed hour."""
    within = [row for row in rows if is_within(row[0], part)]
    return slices(within, part, sum(count for _, count in within) // 2)


def is_within(hour: datetime, part: Slice) -> bool:
    """Whether a feed hour is in a slice."""
    start, end = part
    return (start is None or hour >= start) and (end is None or hour < end)


def condition(part: Slice, column: str = "feed_hour_utc") -> str:
    """The SQL condition on the column that holds a row to a slice."""
    start, end = part
    bounds = [f"{column} >= timestamp '{start}'"] if start else []
    bounds += [f"{column} < timestamp '{end}'"] if end else []
    return " and ".join(bounds) or "true"
