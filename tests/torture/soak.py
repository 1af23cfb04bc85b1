"""Feed hours at full speed, and what is measured after each: does anything grow that should not?

    python -m tests.torture.soak --folder DIR --hours 500 --csv FILE

The clock of all processes of the product is moved on by an hour for each feed hour (`clock.c`), so that what goes by
time goes as in a month of real hours: daily upkeep, retention, expiry, forgetting of runs. Three processes live
through all of it: one that runs each hour as `audit run` does, `audit report`, and one that looks as Dagster's sensor
and schedule do. One hour of each day is run as by cron, by a process of its own. CPU is what the kernel counts for a
process, so that other work on the machine matters little. A soak that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from activity_audit.base.hours import HOUR
from activity_audit.settings.core import Settings, load_settings
from activity_audit.simulator.simulate import simulate
from tests import warm_process

START = datetime(2027, 1, 4, tzinfo=UTC)
# How long after its hour a run begins, as by the schedule.
_LAG = timedelta(minutes=10)
_UPKEEP_AT, _STATUS_AT, _CRON_AT = 3, 12, 18
_LOOK_EVERY = 6
_LANDING_KEPT = timedelta(days=1)
_READER = {"X-Reader": "a.reader@classics.example"}
_PAGES = tuple(f"{page}?period=last-7-days" for page in ("/", "/groups", "/pictures"))
# What a month keeps is kept for days, so that 500 hours are many times as long.
KEPT = {
    "AUDIT_RETENTION": "3d",
    "AUDIT_SNAPSHOT_RETENTION": "1d",
    "AUDIT_RUN_HISTORY": "1d",
    "AUDIT_DOCS_RUNS": "24",
}


class Clock:
    """The clock of the product's processes, which is ahead of ours; made by the C compiler of this machine."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ahead"
        self._file.write_bytes(struct.pack("d", 0))
        self._library = folder / "clock.so"
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", self._library, source, "-ldl", "-lm"], check=True)

    def set(self, moment: datetime) -> None:
        """Have it show this time (aware) now."""
        ahead = (moment - datetime.now(UTC)).total_seconds()
        with self._file.open("r+b") as file:
            file.write(struct.pack("d", ahead))

    @property
    def environment(self) -> dict[str, str]:
        """For processes that go by it. Times of files stay the kernel's."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_AHEAD": str(self._file)}


@dataclass
class Soak:
    """A home that lives through feed hours."""

    folder: Path
    events_per_hour: int
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        os.umask(0o077)
        self.home.mkdir(parents=True, exist_ok=True)
        self.clock = Clock(self.folder)
        os.environ.update({"AUDIT_HOME": str(self.home), **KEPT, **self.clock.environment})
        self.settings = load_settings()

    def run(self, hours: int, table: Path | None = None) -> None:
        """Live through so many feed hours in all; each row is written to the table at once."""
        done = _rows(table) if table and table.exists() else 0
        self.clock.set(START + done * HOUR)
        with _report() as report, _living("--look") as ticker, _living("--run") as runner:
            for number in range(done, hours):
                row = self._hour(number, report, ticker, runner)
                self.rows.append(row)
                if table:
                    _write(table, row)

    def _hour(self, number: int, report: Report, ticker: Living, runner: Living) -> dict[str, Any]:
        hour = START + number * HOUR
        end = hour + HOUR
        began = time.perf_counter()
        simulate(
            Path(self.settings.feed_root), hours=1, until=end, events_per_hour=self.events_per_hour, seed=1,
            defects=True,
        )  # fmt: skip
        self._forget_landing(end)
        self.clock.set(end + _LAG)
        is_looked_at = number % _LOOK_EVERY == 0
        look = ticker.ask(f"{end + _LAG:%Y-%m-%dT%H:%M:%S%z}") if is_looked_at else ""
        by_cron = command("run") if hour.hour == _CRON_AT else None
        run = "" if by_cron else runner.ask("run")
        status = command("status", codes=(0, 1)) if hour.hour == _STATUS_AT else None
        upkeep = command("maintain") if end.hour == _UPKEEP_AT else None
        pages = sum(report.ask(page) for page in _PAGES) if is_looked_at else ""
        return {
            "hour": number + 1,
            "feed_hour": f"{hour:%Y-%m-%dT%HZ}",
            "wall_s": round(time.perf_counter() - began, 1),
            "run_cpu_s": run,
            "cron_cpu_s": round(by_cron.cpu, 2) if by_cron else "",
            "cron_peak_mib": round(by_cron.peak_mib) if by_cron else "",
            "upkeep_cpu_s": round(upkeep.cpu, 2) if upkeep else "",
            "upkeep_peak_mib": round(upkeep.peak_mib) if upkeep else "",
            "status_cpu_s": round(status.cpu, 2) if status else "",
            "look_cpu_s": look,
            "pages_cpu_s": pages,
            **{f"runner_{name}": value for name, value in runner.held().items()},
            **{f"sensor_{name}": value for name, value in ticker.held().items()},
            **{f"report_{name}": value for name, value in report.held().items()},
            **stock(self.settings),
        }

    def _forget_landing(self, now: datetime) -> None:
        """Move old days out of the landing folder, as its owner does."""
        for day in Path(self.settings.feed_root).glob("*/*"):
            if day.name < f"{now - _LANDING_KEPT:%Y-%m-%d}":
                shutil.rmtree(day)


@dataclass
class Cost:
    """What one process took."""

    cpu: float
    peak_mib: float


def command(*arguments: str, codes: tuple[int, ...] = (0,)) -> Cost:
    """Run `audit` with these arguments in a process of its own, which has already imported what it needs."""
    with warm_process.Popen(
        [warm_process.AUDIT, *arguments], env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in codes, said.decode()
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


class _Held:
    """A process that lives through the whole soak."""

    process: psutil.Process

    def cpu(self) -> float:
        """CPU seconds that it has taken."""
        times = self.process.cpu_times()
        return times.user + times.system

    def held(self) -> dict[str, float]:
        """Its memory without what it shares with others (MiB), its open descriptors and its threads."""
        return {
            "mib": round(self.process.memory_full_info().uss / 1024**2, 1),
            "descriptors": self.process.num_fds(),
            "threads": self.process.num_threads(),
        }


class Report(_Held):
    """`audit report`, and a reader whom a proxy names."""

    def __init__(self, process: subprocess.Popen[str], base: str) -> None:
        self.process = psutil.Process(process.pid)
        self._client = httpx.Client(base_url=base, headers=_READER, timeout=300)

    def ask(self, address: str) -> float:
        """The CPU seconds of a page, and of what it took to read a new snapshot."""
        before = self.cpu()
        self._client.get(address).raise_for_status()
        return round(self.cpu() - before, 3)


@contextmanager
def _report() -> Iterator[Report]:
    behind_proxy = {
        "AUDIT_REPORT_AUTH": "proxy", "AUDIT_REPORT_PROXY_HEADER": "X-Reader", "AUDIT_REPORT_PROXY_FROM": "127.0.0.1"
    }  # fmt: skip
    process = subprocess.Popen(
        [warm_process.AUDIT, "report", "--port", "0"],
        env={**os.environ, **behind_proxy},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        link = process.stdout.readline().split()[1]
        yield Report(process, link)
    finally:
        process.terminate()
        process.wait()


class Living(_Held):
    """A process of this module that does its work once for each line that it is given."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.process = psutil.Process(process.pid)

    def ask(self, line: str) -> float:
        """Have it done once: its CPU seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        before = self.cpu()
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        assert said == "done\n", said
        return round(self.cpu() - before, 3)


@contextmanager
def _living(work: str) -> Iterator[Living]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.torture.soak", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Living(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run() -> None:
    """Run what has work, once for each line of standard input."""
    from click.testing import CliRunner

    from activity_audit.cli.main import cli

    for _ in sys.stdin:
        done = CliRunner().invoke(cli, ["run"])
        _say("done" if done.exit_code == 0 else repr(done.output))


def _look() -> None:
    """Look once for each line of standard input, which has the time of the schedule's tick."""
    import dagster as dg

    from activity_audit.dbt_runner import project
    from orchestration import automation, instance

    settings = load_settings()
    project.manifest()
    sensor, schedule = automation.build_sensor(settings, START), automation.build_schedule(settings, START)
    cursor = None
    for line in sys.stdin:
        with instance.instance(settings) as opened:
            with dg.build_sensor_context(instance=opened, cursor=cursor) as context:
                told = sensor.evaluate_tick(context)
                cursor = told.cursor
            at = datetime.fromisoformat(line.strip())
            with dg.build_schedule_context(instance=opened, scheduled_execution_time=at) as context:
                schedule.evaluate_tick(context)
        _say("done")


_PLACES = {
    "raw": "raw",
    "data": "warehouse/data",
    "warehouse": "warehouse",
    "dagster": "dagster",
    "docs": "data_docs",
    "index": "known_ids",
    "cache": "cache",
    "trail": "own_feeds",
    "dagster_run": "dagster/history/runs",
    "compute_log": "dagster/storage",
    "work": "work",
    "report": "report",
}


_DATABASES = {
    "catalog": "warehouse/catalog.sqlite",
    "raw_index": "raw/index.sqlite",
    "dagster_index": "dagster/history/runs/index.db",
    "dagster_runs": "dagster/history/runs.db",
    "dagster_ticks": "dagster/schedules/schedules.db",
}


def stock(settings: Settings) -> dict[str, int]:
    """What there is: snapshots, files and bytes of each place below the home."""
    from activity_audit.warehouse import lake

    found: dict[str, int] = {}
    with lake.reader(settings) as connection:
        count = lambda sql: int(connection.execute(sql).fetchone()[0])  # noqa: E731
        found["events"] = count("select count(*) from fact_activity_event")
        found["snapshots"] = count("select count(*) from audit.snapshots()")
        found["ledger"] = count("select count(*) from quality.integrity_ledger")
    for name, place in _PLACES.items():
        files = [path.stat() for path in (settings.home / place).rglob("*") if path.is_file()]
        found[f"{name}_files"], found[f"{name}_bytes"] = len(files), sum(file.st_size for file in files)
    for name, file in _DATABASES.items():
        at = settings.home / file
        found[f"{name}_bytes"] = sum(path.stat().st_size for path in at.parent.glob(f"{at.name}*"))
    below = [path for path in settings.home.rglob("*") if not path.is_relative_to(settings.feed_root)]
    sizes = [path.stat().st_size for path in below if path.is_file()]
    found["home_files"], found["home_bytes"] = len(sizes), sum(sizes)
    found["home_folders"] = len(below) - len(sizes)
    return found


def _rows(table: Path) -> int:
    return max(0, len(table.read_text().splitlines()) - 1)


def _write(table: Path, row: dict[str, Any]) -> None:
    is_new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    """Run it, and write a row for each hour."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--hours", type=int, default=500)
    parser.add_argument("--events-per-hour", type=int, default=200)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--look", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--run", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.look:
        _look()
    elif options.run:
        _run()
    else:
        # What it started is to end with it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        Soak(options.folder.absolute(), options.events_per_hour).run(options.hours, options.csv)


if __name__ == "__main__":
    main()
