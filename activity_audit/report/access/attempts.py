"""How often, and how many at once, signing in is tried: the work for somebody without an account is bounded.

Passwords are compared in threads of their own, so that whoever tries many holds up no reader.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from activity_audit.report.access import users
from activity_audit.report.queries.scheduler import be_kind

T = TypeVar("T")

# So many are under way, or wait for it: of all, and of one client.
PLACES, PLACES_OF_ONE = 16, 8
# So many may come at once, and so many a second in the long run.
_ALL, _ALL_PER_SECOND = 120.0, 4.0
_ONE, _ONE_PER_SECOND = 60.0, 1.0
# Each takes 64 MiB while it is compared.
_AT_ONCE = 2
_MOST_CLIENTS = 10_000
_WAIT_FOR_A_PLACE = 2


class BusyError(RuntimeError):
    """Too many sign-ins; `status` is that of the answer, `wait` the seconds after which to try again."""

    def __init__(self, status: int, wait: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.wait = wait


@dataclass
class _Bucket:
    left: float
    at: float


class Attempts:
    """The attempts of this process. Everything but the work itself is of the event loop's thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way: dict[str, int] = {}
        self._all = _Bucket(_ALL, clock())
        self._of_one: OrderedDict[str, _Bucket] = OrderedDict()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="report-sign-in", initializer=_ready)

    async def run(self, client: str, work: Callable[[], T]) -> T:
        """What `work` brings, in a thread that waits for others.

        Raises:
            BusyError: if there are too many already.
        """
        with self.place(client):
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    @contextmanager
    def place(self, client: str) -> Iterator[None]:
        """A place for one attempt of this client, until the block ends.

        Raises:
            BusyError: if there is none, or there were too many attempts.
        """
        mine = self._under_way.get(client, 0)
        if sum(self._under_way.values()) >= PLACES or mine >= PLACES_OF_ONE:
            raise BusyError(503, _WAIT_FOR_A_PLACE, "many are signing in at this moment; try again in a few seconds")
        self._count(client)
        self._under_way[client] = mine + 1
        try:
            yield
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]

    def _count(self, client: str) -> None:
        now = self._clock()
        one = self._of_one.pop(client, None) or _Bucket(_ONE, now)
        self._of_one[client] = one
        if len(self._of_one) > _MOST_CLIENTS:
            self._of_one.popitem(last=False)
        buckets = ((one, _ONE, _ONE_PER_SECOND), (self._all, _ALL, _ALL_PER_SECOND))
        for bucket, most, rate in buckets:
            bucket.left, bucket.at = min(most, bucket.left + (now - bucket.at) * rate), now
        wait = max((1 - bucket.left) / rate for bucket, _, rate in buckets)
        if wait > 0:
            seconds = math.ceil(wait)
            raise BusyError(429, seconds, f"too many sign-ins were tried; try again in {seconds} seconds")
        for bucket, _, _ in buckets:
            bucket.left -= 1


def _ready() -> None:
    be_kind()
    users.prepare()
