"""What an event costs in a bulk load: all feeds of many hours in one run, against bare DuckDB on the same files.

    python -m benchmarks.bulk [--events 10000000] [--hours N] [--format ndjson|gz|csv] [--json FILE]

The floor is what DuckDB takes to read the same files, with declared columns, and to write them as one zstd Parquet
file; it is measured right before the load. The load is the whole `audit run`, from files to the published snapshot.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import measure
from benchmarks.bulk_feeds import EVENTS_AN_HOUR, FORMATS, make_feeds
from benchmarks.measure import Figure, Usage

_COLUMNS = (
    "application",
    "entity",
    "activity",
    "eventTime",
    "eventId",
    "triggeredBy",
    "instance",
    "outcome",
    "comments",
)
_STAGES = ("landing", "staging", "checking", "publishing")


def floor(landing: Path, kind: str, target: Path) -> Usage:
    """Bare DuckDB: read all the files, write one Parquet file."""
    columns = "{" + ", ".join(f"{name}: 'VARCHAR'" for name in _COLUMNS) + "}"
    files = f"'{landing}/*/*/*/{FORMATS[kind]}'"
    read = (
        f"read_csv({files}, columns = {columns}, header = true, ignore_errors = true, null_padding = true)"
        if kind == "csv"
        else f"read_json({files}, format = 'newline_delimited', columns = {columns}, ignore_errors = true)"
    )
    copy = f"copy (from {read}) to '{target}' (format parquet, compression zstd)"
    script = (
        f"import duckdb; c = duckdb.connect(); c.execute('set preserve_insertion_order = false'); c.execute({copy!r})"
    )
    return measure.measured([sys.executable, "-c", script])


def stages(home: Path) -> dict[str, float]:
    """How long each stage of the run took, in seconds, from Dagster's record of it."""
    times: dict[str, float] = {}
    for file in (home / "dagster" / "history" / "runs").glob("*.db"):
        if file.stem == "index":
            continue
        with sqlite3.connect(file) as record:
            for (text,) in record.execute("select event from event_logs order by id"):
                event = json.loads(text)
                happened = (event["dagster_event"] or {}).get("event_type_value")
                name = event["user_message"] if happened is None else happened
                if happened == "STEP_SUCCESS" or name in _STAGES or (happened == "STEP_START" and not times):
                    times["landing" if happened == "STEP_START" else name] = event["timestamp"]
    ends = [*_STAGES[1:], "STEP_SUCCESS"]
    return {stage: times[end] - times[stage] for stage, end in zip(_STAGES, ends, strict=True)}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--hours", type=int, help=f"over how many hours; default: {EVENTS_AN_HOUR} events in each")
    parser.add_argument("--format", choices=FORMATS, default="ndjson")
    parser.add_argument("--folder", type=Path, help="where the files are made; default: the temporary folder")
    measure.add_json_option(parser)
    options = parser.parse_args()
    hours = options.hours or max(1, options.events // EVENTS_AN_HOUR)
    folder = Path(tempfile.mkdtemp(prefix="activity-audit-bulk-", dir=options.folder))
    home, warm = folder / "home", folder / "warm"
    try:
        # The first run on a new clone parses the dbt project; that is not what is measured here.
        make_feeds(warm / "landing", 1000, 1, options.format)
        measure.audit(warm, "run")
        began = datetime.now(UTC)
        delivered = make_feeds(home / "landing", options.events, hours, options.format)
        making = datetime.now(UTC) - began
        bare = floor(home / "landing", options.format, folder / "floor.parquet")
        load = measure.audit(home, "run")
        figures = _figures(options.events, hours, delivered, making, bare, load, home, options.format)
    finally:
        shutil.rmtree(folder)
    print(measure.heading())
    print(f"\n{options.events} events of 16 feeds and {hours} hours, {options.format}\n")
    measure.report(options.json, figures)


def _figures(
    events: int, hours: int, delivered: int, making: timedelta, bare: Usage, load: Usage, home: Path, kind: str
) -> list[Figure]:
    took = stages(home)
    raw, fact = (
        measure.bytes_below(home / "raw"),
        measure.bytes_below(home / "warehouse" / "data" / "main" / "fact_activity_event"),
    )
    name = f"bulk {kind}"
    return [
        Figure(f"{name} events", events, "events"),
        Figure(f"{name} hours", hours, "h"),
        Figure(f"{name} feeds made in", round(making.total_seconds(), 1), "s"),
        *measure.usage_figures(f"{name} bare DuckDB", bare),
        *measure.usage_figures(f"{name} load", load),
        Figure(f"{name} speed, of bare DuckDB's", round(bare.wall / load.wall, 3), "ratio"),
        Figure(f"{name} CPU per event", round(1e6 * load.cpu / events, 2), "us"),
        *(Figure(f"{name} {stage}", round(seconds, 1), "s") for stage, seconds in took.items()),
        Figure(f"{name} checks, of the load's time", round(took["checking"] / load.wall, 3), "ratio"),
        Figure(f"{name} feed files", delivered, "bytes"),
        Figure(f"{name} raw", raw, "bytes"),
        Figure(f"{name} fact", fact, "bytes"),
        Figure(f"{name} fact, of the feed files", round(fact / delivered, 3), "ratio"),
        Figure(f"{name} raw and fact, of the feed files", round((raw + fact) / delivered, 3), "ratio"),
    ]


if __name__ == "__main__":
    main()
