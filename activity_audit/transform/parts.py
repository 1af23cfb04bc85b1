"""How a run's deliveries are cut into parts, for several workers, and when that pays."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from activity_audit.raw.index import LandedDelivery

# A process takes 4 to 5 CPU seconds to start, in which one that runs judges a sixth of a million records.
FEWEST_RECORDS = 500_000
# A part is what is done again if its worker dies, and what has to fit into a worker's memory.
_MOST_RECORDS = 1_000_000


def are_worth_it(deliveries: Sequence[LandedDelivery], workers: int) -> bool:
    """Whether so many workers are quicker than one process."""
    return workers > 1 and are_enough(deliveries)


def are_enough(deliveries: Sequence[LandedDelivery]) -> bool:
    """Whether several processes have enough to do with them."""
    return len(deliveries) > 1 and sum(one.records for one in deliveries) >= FEWEST_RECORDS


def cut(deliveries: Sequence[LandedDelivery], workers: int) -> list[list[LandedDelivery]]:
    """The deliveries in parts of about as many records each, at least one for each worker if there are so many.

    Feed hours that follow each other stay together, so that a part's events are of few days. What becomes of a record
    does not depend on the part that it is in.
    """
    records = sum(one.records for one in deliveries)
    # More than one process does them, even if this machine has one of them.
    workers = max(2, workers)
    number = workers * max(1, ceil(records / (workers * _MOST_RECORDS)))
    ordered = sorted(deliveries, key=lambda one: (one.feed_hour, one.feed, one.name, one.delivery_id))
    parts: list[list[LandedDelivery]] = [[]]
    held = 0
    for place, delivery in enumerate(ordered):
        is_full = held >= records * len(parts) / number
        are_few = len(ordered) - place <= number - len(parts)
        if parts[-1] and len(parts) < number and (is_full or are_few):
            parts.append([])
        parts[-1].append(delivery)
        held += delivery.records
    return parts
