"""Whether `audit verify` and `audit maintain` cost what their events cost, in little memory: on so many events, and on
the same warehouse when it has grown.

    python -m benchmarks.upkeep [--events 10000000 100000000]

The feeds are loaded a tenth of the larger size at a time and then deleted, so that disk is needed for the warehouse
and the raw lake only. At both sizes the last hours are those of a day: `audit maintain` runs, each hour has a run of
its own, and the next `audit maintain`, which is measured, has as many files to merge as at the other size. Its cost is
set against the events of that day.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import measure
from benchmarks.bulk_feeds import EVENTS_AN_HOUR, make_feeds
from benchmarks.measure import Figure, Usage

_LOADS = 10
_DAY = 24
# Of the smaller size, the day is half of the hours at most, and it has as many files as are merged.
_HOURS = 12


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs=2, default=(10_000_000, 100_000_000), metavar=("SMALL", "LARGE"))
    measure.add_json_option(parser)
    options = parser.parse_args()
    small, large = options.events
    hours = max(_HOURS * large // small, large // EVENTS_AN_HOUR)
    day = min(_DAY, hours * small // large // 2)
    figures: list[Figure] = []
    costs: dict[tuple[str, int], tuple[Usage, int]] = {}
    with tempfile.TemporaryDirectory(prefix="activity-audit-bench-") as name:
        folder, loaded = Path(name), 0
        for size in (small, large):
            end = hours * size // large
            _load(folder, large, hours, range(loaded, end - day), -(-hours // _LOADS))
            measure.audit(folder / "home", "maintain")
            _load(folder, large, hours, range(end - day, end), 1)
            loaded = end
            for command, events in (("verify", size), ("maintain", day * large // hours)):
                usage = measure.audit(folder / "home", command)
                costs[command, size] = usage, events
                figures += measure.usage_figures(f"{command} at {size:,}", usage)
                print(f"{size:,}: {command} {usage.wall:.1f} s", file=sys.stderr, flush=True)
    for command in ("verify", "maintain"):
        (before, few), (after, many) = costs[command, small], costs[command, large]
        figures.append(Figure(f"{command} per event", round((after.cpu / many) / (before.cpu / few), 3), "ratio"))
        figures.append(Figure(f"{command} memory", round(after.peak_mib / before.peak_mib, 3), "ratio"))
    print(measure.heading())
    measure.report(options.json, figures)


def _load(folder: Path, events: int, hours: int, part: range, step: int) -> None:
    """Bring these of all hours into the warehouse, so many of them in each run."""
    given = folder / "feeds"
    for start in part[::step]:
        end = min(start + step, part.stop)
        make_feeds(given, events, hours, "ndjson", range(start, end))
        measure.audit(folder / "home", "run", AUDIT_FEED_URL=str(given))
        shutil.rmtree(given)
        print(f"{end} of {hours} hours are loaded", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
