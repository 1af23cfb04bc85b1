"""How often the sensor looks, if a look takes long: looks take a bounded share of a processor."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# A look that takes a second is followed by a minute without one, which is how often the sensor looks anyway.
_PAUSE = 60


class Pace:
    """Looks of one process, of which each is followed by a pause of 60 times the CPU seconds that it took.

    The first one does not count, because it imports what all others need. `now` and `cpu` are the seconds since some
    time, and those of a processor that this thread has taken.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.thread_time) -> None:
        self._now = now
        self._cpu = cpu
        self._again_at: float | None = None

    def pause(self) -> int:
        """How many seconds are left until the next look may begin; 0 where it may begin now."""
        return 0 if self._again_at is None else max(0, math.ceil(self._again_at - self._now()))

    @contextmanager
    def look(self) -> Iterator[None]:
        """The block is a look."""
        is_first, began, before = self._again_at is None, self._now(), self._cpu()
        yield
        took = 0.0 if is_first else self._cpu() - before
        # The sensor's ticks come every minute, counted from the beginning of a look.
        self._again_at = began + (_PAUSE * took if took > 1 else 0)
