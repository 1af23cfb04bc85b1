"""How deliveries are cut into parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from activity_audit.raw.index import LandedDelivery
from activity_audit.transform import parts


def delivery(number: int, records: int) -> LandedDelivery:
    hour = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(hours=number // 2)
    return LandedDelivery(f"d{number}", "search" if number % 2 else "qm", hour, "a", "uri", "sha", 1, records, hour)


@pytest.mark.parametrize(
    ("records", "workers", "number"),
    [
        ([10] * 12, 3, 3),
        ([10] * 2, 3, 2),
        ([0] * 5, 2, 2),
        ([100, *([1] * 9)], 2, 2),
        ([*([1] * 9), 100], 2, 2),
        ([700_000] * 4, 2, 4),
        ([1], 3, 1),
    ],
)
def test_parts_have_about_as_many_records_each(records: list[int], workers: int, number: int) -> None:
    deliveries = [delivery(place, count) for place, count in enumerate(records)]
    cut = parts.cut(deliveries[::-1], workers)
    assert len(cut) == number
    assert all(cut)
    assert sorted(one.delivery_id for part in cut for one in part) == sorted(one.delivery_id for one in deliveries)
    most = max(records) + sum(records) / number
    assert all(sum(one.records for one in part) <= most for part in cut)
    # Feed hours stay in order.
    assert all(max(d.feed_hour for d in one) <= min(d.feed_hour for d in two) for one, two in pairwise(cut))


def test_small_batches_stay_in_one_process() -> None:
    large = [delivery(place, 250_000) for place in range(2)]
    assert parts.are_worth_it(large, 2)
    assert not parts.are_worth_it(large, 1)
    assert not parts.are_worth_it(large[:1], 2)
    assert not parts.are_worth_it([delivery(place, 249_999) for place in range(2)], 2)
