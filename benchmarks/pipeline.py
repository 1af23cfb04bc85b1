"""How long the pipeline takes, and how much memory: an hour on an empty warehouse, a week in one backfill, and
that hour again on top of the week.

    python -m benchmarks.pipeline [--events-per-hour 18000] [--hours 168]

Every figure is of a whole `audit run` process.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import measure

END = datetime(2026, 5, 8, tzinfo=UTC)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events-per-hour", type=int, default=18_000)
    parser.add_argument("--hours", type=int, default=168)
    measure.add_json_option(parser)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="activity-audit-bench-"))
    week, hour = folder / "week", folder / "hour"
    rate = ("--events-per-hour", str(options.events_per_hour))

    def simulate(home: Path, hours: int, until: datetime) -> None:
        measure.audit(home, "simulate", "--hours", str(hours), "--until", until.isoformat(), *rate)

    try:
        # The first run of a process on a new clone parses the dbt project; that is not what is measured here.
        measure.audit(folder / "warm", "simulate", "--hours", "1", "--events-per-hour", "100")
        measure.audit(folder / "warm", "run")
        simulate(hour, 1, END + timedelta(hours=1))
        simulate(week, options.hours, END)
        rows = [("one hour, empty warehouse", measure.audit(hour, "run"))]
        rows.append((f"{options.hours} hours in one backfill", measure.audit(week, "run")))
        rows.append(
            ("the same again, nothing new", measure.audit(week, "run", "--from", _iso(options.hours), "--to", _iso(0)))
        )
        simulate(week, 1, END + timedelta(hours=1))
        rows.append((f"one hour, on {options.hours} hours", measure.audit(week, "run")))
    finally:
        shutil.rmtree(folder)
    print(measure.heading())
    measure.report(options.json, [figure for name, usage in rows for figure in measure.usage_figures(name, usage)])


def _iso(hours_before_end: int) -> str:
    return (END - timedelta(hours=hours_before_end)).isoformat()


if __name__ == "__main__":
    main()
