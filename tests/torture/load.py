"""Many real readers at once beside runs: each answer is of one published snapshot, and its time is kept."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from activity_audit.settings.core import Settings
from benchmarks.measure import p95
from tests import warm_process
from tests.integration.support import process_environment

# The same events, counted three ways: of one snapshot they are as many.
COUNTS = """
    select
        (select count(*) from fact_activity_event) as events,
        (select coalesce(sum(event_count), 0)::bigint from agg_activity_hourly) as counted,
        (select coalesce(sum(accepted), 0)::bigint from quality.feed_reconciliation) as reconciled
"""
_PAGE = "/?period=from-to&from=2000-01-01&to=2026-12-31"
_TOTAL = re.compile(r'data-total="(\d+)"')
_HEADERS = {"X-Reader": "a.reader@classics.example"}
_PROXY = {
    "AUDIT_REPORT_AUTH": "proxy", "AUDIT_REPORT_PROXY_HEADER": "X-Reader", "AUDIT_REPORT_PROXY_FROM": "127.0.0.1"
}  # fmt: skip


@dataclass
class Read:
    """What one kind of readers got: the numbers of events that they saw, and the seconds of each answer."""

    events: set[int] = field(default_factory=set)
    seconds: list[float] = field(default_factory=list)

    @property
    def p95(self) -> float:
        """The 95th percentile of the seconds."""
        return p95(self.seconds) if self.seconds else 0.0


@contextmanager
def reading(
    settings: Settings, commands: int, connections: int, browsers: int, pause: float = 0
) -> Iterator[dict[str, Read]]:
    """Have readers read a published home during the block; what they got is there after it, by their kind.

    `audit sql` processes one after the other, processes with a DuckDB connection each, and readers of the report's
    pages; each waits so many seconds after an answer. Fails after the block where an answer was not of one snapshot, or
    was an error.
    """
    found = {"audit sql": Read(), "connection": Read(), "report": Read()}
    stop, wrong = threading.Event(), []

    def again(kind: str, ask: Callable[[], int]) -> None:
        seen = 0
        while not stop.is_set():
            began = time.monotonic()
            try:
                events = ask()
                assert events >= seen, f"{kind}: {events} events after {seen}"
            except Exception as error:
                wrong.append(error)
                return
            seen = events
            found[kind].events.add(events)
            found[kind].seconds.append(time.monotonic() - began)
            stop.wait(pause)

    with ExitStack() as stack:
        base = stack.enter_context(_report(settings)) if browsers else ""
        asks: list[tuple[str, Callable[[], int]]] = [("audit sql", lambda: _command(settings))] * commands
        asks += [("connection", stack.enter_context(_connection(settings))) for _ in range(connections)]
        asks += [("report", stack.enter_context(_browser(base))) for _ in range(browsers)]
        threads = [threading.Thread(target=again, args=one) for one in asks]
        for thread in threads:
            thread.start()
        try:
            yield found
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert not wrong, wrong


def _counted(row: dict[str, int]) -> int:
    assert row["events"] == row["counted"] == row["reconciled"], row
    return int(row["events"])


def _command(settings: Settings) -> int:
    done = warm_process.run(
        [warm_process.AUDIT, "sql", COUNTS, "--output", "json"],
        env=process_environment(settings), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return _counted(json.loads(done.stdout)[0])


@contextmanager
def _connection(settings: Settings) -> Iterator[Callable[[], int]]:
    program = "from tests.torture.load import _answer; _answer()"
    process = warm_process.Popen(
        [sys.executable, "-c", program],
        env=process_environment(settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def ask() -> int:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        return _counted(json.loads(process.stdout.readline()))

    with process:
        try:
            yield ask
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _answer() -> None:
    """Answer each line of standard input, on a connection of its own each time."""
    from activity_audit.settings.core import load_settings
    from activity_audit.warehouse import lake

    settings = load_settings()
    for _ in sys.stdin:
        with lake.reader(settings) as connection:
            row = lake.rows(connection, COUNTS)[0]
        sys.stdout.write(f"{json.dumps(row)}\n")
        sys.stdout.flush()


@contextmanager
def _report(settings: Settings) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        with said.open("w") as output:
            process = warm_process.Popen(
                [warm_process.AUDIT, "report", "--port", "0"],
                env=process_environment(settings, **_PROXY), stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        with process:
            try:
                while not (link := re.search(r"Report: (\S+)", said.read_text())):
                    assert process.poll() is None, said.read_text()
                    time.sleep(0.05)
                yield link[1]
            finally:
                process.terminate()


@contextmanager
def _browser(base: str) -> Iterator[Callable[[], int]]:
    """A reader of all events; the page says how many there are."""
    with httpx.Client(base_url=base, headers=_HEADERS, timeout=300) as client:

        def ask() -> int:
            page = client.get(_PAGE).raise_for_status().text
            total = _TOTAL.search(page)
            assert total, page
            return int(total[1])

        yield ask
