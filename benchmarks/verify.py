"""How long `audit verify` takes, and how much memory, against reading the same events and files once: the bytes of all
files and the rows of the fact, and the events alone, from NDJSON with bare DuckDB.

    python -m benchmarks.verify [--events 1000000]

The figures of verify are of a whole process. "From disk" is without anything in the operating system's cache, as a
verification once a day finds it; else everything is in there.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake
from benchmarks import measure
from benchmarks.bulk_feeds import EVENTS_AN_HOUR, make_feeds
from benchmarks.measure import Figure


def read_all(settings: Settings) -> float:
    """Seconds to read every column of the fact, and every byte of the raw lake and of the feeds, once."""
    started = time.perf_counter()
    with lake.reader(settings) as connection:
        connection.execute("select bit_xor(hash(event)) from fact_activity_event as event").fetchall()
    for folder in (settings.raw_dir, Path(settings.feed_root)):
        for path in folder.rglob("*"):
            if path.is_file():
                path.read_bytes()
    return time.perf_counter() - started


def forget(folder: Path) -> None:
    """Have the operating system's cache let go of all files below a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_ndjson(settings: Settings) -> float:
    """Seconds that bare DuckDB takes to read the same events, every field, from NDJSON that was written before."""
    import duckdb

    names = "application, entity, activity, event_time_utc, event_id, triggered_by, instance, outcome, comments"
    file = settings.home / "events.ndjson"
    with lake.reader(settings) as reader:
        reader.execute(f"copy (select {names} from fact_activity_event) to '{file}' (format json)")
    with duckdb.connect() as connection:
        started = time.perf_counter()
        connection.execute(f"select bit_xor(hash({names})) from read_json('{file}')").fetchall()
        return time.perf_counter() - started


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    measure.add_json_option(parser)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="activity-audit-bench-"))
    try:
        make_feeds(home / "landing", options.events, max(1, options.events // EVENTS_AN_HOUR), "ndjson")
        run = measure.audit(home, "run")
        verify = measure.audit(home, "verify")
        settings = load_settings(home=home)
        read_all(settings)
        reading = read_all(settings)
        forget(home)
        reading_from_disk = read_all(settings)
        forget(home)
        verify_from_disk = measure.audit(home, "verify")
        parsing = read_ndjson(settings)
    finally:
        shutil.rmtree(home)
    print(measure.heading())
    figures = [
        *measure.usage_figures("run", run),
        *measure.usage_figures("verify", verify),
        *measure.usage_figures("verify from disk", verify_from_disk),
    ]
    for what, seconds, took in (
        ("reading it all once", reading, verify),
        ("reading it all once from disk", reading_from_disk, verify_from_disk),
        ("reading them as NDJSON, DuckDB", parsing, verify),
    ):
        figures.append(Figure(what, round(seconds, 2), "s"))
        figures.append(Figure(f"verify against {what}", round(took.wall / seconds, 2), "ratio"))
    measure.report(options.json, figures)


if __name__ == "__main__":
    main()
