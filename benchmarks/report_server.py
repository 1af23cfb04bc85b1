"""How long the report's server takes for whole pages, and its exports' time and memory, on a long history.

Part of `benchmarks.report`. The server is a process of its own, with a home of its own that only points at the
history's warehouse, so that what it records about its readers is not there. The readers are in this process, on the
same processors.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path

import httpx
import psutil

from activity_audit.base.hours import aware
from activity_audit.settings.core import load_settings
from activity_audit.warehouse import lake
from benchmarks.measure import Figure, audit, p95, usage_figures

_PATIENCE = 600
# How long a reader looks at a page on average, in seconds, before asking for the next.
_LOOK = 1.0
_PAGES = {
    "page of events": "/",
    "page of groups": "/groups",
    "page of pictures": "/pictures",
    "next rows": "/rows",
    "list of people": "/values",
}
_WHAT_ELSE = {"/rows": "&index=5000", "/values": "&field=triggered_by"}
_FORMATS = ("csv", "parquet")


@dataclass(frozen=True)
class History:
    """What there is: the home, the applications, and the days with their events, newest first."""

    home: Path
    applications: tuple[str, ...]
    days: list[tuple[datetime, int]]

    @property
    def first(self) -> datetime:
        """The first day."""
        return self.days[-1][0]

    @property
    def last(self) -> datetime:
        """The last day."""
        return self.days[0][0]

    def newest(self, rows: int) -> tuple[int, datetime]:
        """The newest days that have so many events or a few more: how many, and the first of these days."""
        held = list(accumulate(n for _, n in self.days))
        place = min(bisect_left(held, rows), len(held) - 1)
        return held[place], self.days[place][0]

    def month(self, chosen: random.Random) -> str:
        """The URL's part for some month of some application."""
        days = max(0, (self.last - self.first).days - 29)
        start = self.first + timedelta(days=chosen.randint(0, days))
        period = f"period=from-to&from={start:%Y-%m-%d}&to={start + timedelta(days=29):%Y-%m-%d}"
        return f"{period}&application={chosen.choice(self.applications)}"


def history(home: Path) -> History:
    """What a home has."""
    with lake.reader(load_settings(home=home)) as connection:
        days = connection.execute(
            "select date_trunc('day', event_hour_utc), cast(sum(event_count) as bigint) from agg_activity_hourly "
            "group by 1 order by 1 desc"
        ).fetchall()
        applications = connection.execute("select distinct application from agg_activity_hourly order by 1").fetchall()
    return History(home, tuple(name for (name,) in applications), [(aware(day), n) for day, n in days])


def settings(history: History) -> dict[str, str]:
    """The environment by which another home reads the history's warehouse."""
    warehouse = history.home.resolve() / "warehouse"
    return {"AUDIT_CATALOG": str(warehouse / "catalog.sqlite"), "AUDIT_DATA_PATH": f"{warehouse / 'data'}/"}


class Server:
    """`audit report` while it runs."""

    def __init__(self, process: subprocess.Popen[str], link: str) -> None:
        self._process = psutil.Process(process.pid)
        self.base = link.split("/open")[0]
        self.client = httpx.Client(base_url=self.base, timeout=_PATIENCE, follow_redirects=True)
        self.client.get(link)

    def cpu(self) -> float:
        """Seconds of a processor that it has taken."""
        times = self._process.cpu_times()
        return times.user + times.system

    def resident(self) -> float:
        """Its memory in MiB."""
        return self._process.memory_info().rss / 1024**2

    def wait_until_idle(self) -> None:
        """Until it has counted what it counts in the background."""
        quiet = 0
        while quiet < 3:
            before = self.cpu()
            time.sleep(1)
            quiet = quiet + 1 if self.cpu() - before < 0.1 else 0

    def ask(self, address: str) -> float:
        """The seconds of one page."""
        started = time.perf_counter()
        self.client.get(address).raise_for_status()
        return time.perf_counter() - started


@contextmanager
def served(history: History) -> Iterator[Server]:
    """A server that reads the history, warm."""
    audit_command = Path(sys.executable).with_name("audit")
    with tempfile.TemporaryDirectory(prefix="activity-audit-bench-") as home:
        environment = {
            **os.environ, **settings(history), "AUDIT_HOME": home, "AUDIT_REPORT_EXPORT_SPACE": str(20 * 10**9)
        }  # fmt: skip
        process = subprocess.Popen(
            [audit_command, "report", "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            link = re.match(r"Report: (\S+)", process.stdout.readline())
            assert link, "the server did not start"
            server = Server(process, link[1])
            server.ask("/")
            server.wait_until_idle()
            yield server
        finally:
            process.terminate()
            process.wait()


def pages(server: Server, history: History, readers: int, times: int) -> Iterator[Figure]:
    """Whole pages: alone, each another month and application; and as many readers at once as `readers`.

    These ask for the next page as soon as they have one, or look at each for a second or so.
    """
    chosen = random.Random(1)
    for name, path in _PAGES.items():
        cpu = server.cpu()
        walls = [server.ask(_address(path, history.month(chosen))) for _ in range(times)]
        yield Figure(f"{name}, p95", round(p95(walls) * 1000), "ms")
        yield Figure(f"{name}, CPU", round((server.cpu() - cpu) / times * 1000), "ms")

    def mixed(number: int, look: float = 0) -> Iterator[float]:
        of = random.Random(f"{number}, {look}")
        for path in of.sample(sorted(_PAGES.values()), 5):
            time.sleep(of.uniform(0, 2 * look))
            yield server.ask(_address(path, history.month(of)))

    yield from _together("pages of all kinds", server, readers, mixed)
    looking = f"pages of all kinds, each looked at for {_LOOK:g} s"
    yield from _together(looking, server, readers, lambda number: mixed(number, _LOOK))
    view = _address("/", history.month(chosen))
    yield from _together("the same page of events", server, readers, lambda _: [server.ask(view) for _ in range(5)])


def exports(history: History, periods: Iterable[tuple[str, int, datetime]]) -> Iterator[Figure]:
    """`audit export` from some time until the end, in each format; a period has a name, its rows, and its beginning."""
    with tempfile.TemporaryDirectory(prefix="activity-audit-bench-") as home:
        for size, rows, start in periods:
            yield Figure(f"rows of {size}", rows, "rows")
            for suffix in _FORMATS:
                file = Path(home, f"export.{suffix}")
                period = ("--from", start.isoformat(), "--to", (history.last + timedelta(days=1)).isoformat())
                usage = audit(Path(home), "export", *period, "--to-file", str(file), **settings(history))
                yield from usage_figures(f"audit export of {size} to {suffix}", usage)
                yield Figure(f"audit export of {size} to {suffix}, file", file.stat().st_size, "bytes")
                file.unlink()


def web_exports(server: Server, history: History, periods: Iterable[tuple[str, int, datetime]]) -> Iterator[Figure]:
    """The same through the page: its time, and by how much the server's memory grew."""
    page = server.client.get("/", params={"period": "today"}).text
    token = re.search(r'name="csrf" (?:content|value)="([^"]+)"', page)
    assert token, "the page has no token"
    headers = {"Accept": "application/json", "X-CSRF-Token": token[1]}
    for size, _, start in periods:
        for suffix in _FORMATS:
            address = f"/export?period=from-to&from={start:%Y-%m-%d}&to={history.last:%Y-%m-%d}"
            before, cpu, began = server.resident(), server.cpu(), time.perf_counter()
            with _highest(server) as highest:
                job = server.client.post(address, data={"format": suffix}, headers=headers).raise_for_status()
                while (state := server.client.get(job.headers["location"], headers=headers).json())["state"] in (
                    "waiting", "running"
                ):  # fmt: skip
                    time.sleep(0.2)
            assert state["state"] == "done", state
            name = f"export of {size} to {suffix} through the page"
            yield Figure(f"{name} wall", round(time.perf_counter() - began, 1), "s")
            yield Figure(f"{name} CPU", round(server.cpu() - cpu, 1), "s")
            yield Figure(f"{name} memory above what the server had", round(max(highest) - before), "MiB")
            server.client.delete(job.headers["location"], headers=headers)


def _address(path: str, period: str) -> str:
    return f"{path}?{period}{_WHAT_ELSE.get(path, '')}"


def _together(name: str, server: Server, readers: int, read: Callable[[int], Iterable[float]]) -> Iterator[Figure]:
    cpu = server.cpu()
    with ThreadPoolExecutor(readers) as pool:
        walls = [wall for found in pool.map(lambda number: list(read(number)), range(readers)) for wall in found]
    yield Figure(f"{name}, {readers} readers, p95", round(p95(walls) * 1000), "ms")
    yield Figure(f"{name}, {readers} readers, CPU", round((server.cpu() - cpu) / len(walls) * 1000), "ms")


@contextmanager
def _highest(server: Server) -> Iterator[list[float]]:
    """The server's memory, looked at every tenth of a second."""
    seen = [server.resident()]
    over = threading.Event()

    def look() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            while not over.wait(0.1):
                seen.append(server.resident())

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield seen
    finally:
        over.set()
        looking.join()
