"""How long the pipeline takes, and how much memory: an hour on an empty warehouse, a week in one backfill, and
that hour again on top of the week.

    python benchmarks/pipeline.py [--events-per-hour 18000] [--hours 168]

Every figure is of a whole `audit run` process, as the operating system accounts for it.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

END = datetime(2026, 5, 8, tzinfo=UTC)


def measured(home: Path, *arguments: str) -> tuple[float, float, float]:
    """Run `audit` with these arguments; its wall seconds, CPU seconds and peak memory in MiB."""
    environment = dict(os.environ, AUDIT_HOME=str(home))
    audit = str(Path(sys.executable).with_name("audit"))
    started = time.perf_counter()
    child = os.posix_spawn(
        audit,
        [audit, *arguments],
        environment,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"audit {' '.join(arguments)} failed")
    unit = 1024 if platform.system() == "Linux" else 1024**2
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events-per-hour", type=int, default=18_000)
    parser.add_argument("--hours", type=int, default=168)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="activity-audit-bench-"))
    week, hour = folder / "week", folder / "hour"
    rate = ("--events-per-hour", str(options.events_per_hour))

    def simulate(home: Path, hours: int, until: datetime) -> None:
        measured(home, "simulate", "--hours", str(hours), "--until", until.isoformat(), *rate)

    try:
        # The first run of a process on a new clone parses the dbt project; that is not what is measured here.
        measured(folder / "warm", "simulate", "--hours", "1", "--events-per-hour", "100")
        measured(folder / "warm", "run")
        simulate(hour, 1, END + timedelta(hours=1))
        simulate(week, options.hours, END)
        rows = [("one hour, empty warehouse", measured(hour, "run"))]
        rows.append((f"{options.hours} hours in one backfill", measured(week, "run")))
        rows.append(
            ("the same again, nothing new", measured(week, "run", "--from", _iso(options.hours), "--to", _iso(0)))
        )
        simulate(week, 1, END + timedelta(hours=1))
        rows.append((f"one hour, on {options.hours} hours", measured(week, "run")))
    finally:
        shutil.rmtree(folder)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {options}")
    print(f"{'':32}{'wall s':>10}{'CPU s':>10}{'peak MiB':>10}")
    for name, (wall, cpu, memory) in rows:
        print(f"{name:32}{wall:10.1f}{cpu:10.1f}{memory:10.0f}")


def _iso(hours_before_end: int) -> str:
    return (END - timedelta(hours=hours_before_end)).isoformat()


if __name__ == "__main__":
    main()
