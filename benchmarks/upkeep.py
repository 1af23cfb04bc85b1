"""Whether `audit verify` and `audit maintain` cost what their events cost, in little memory: on so many events, and on
the same warehouse when it has grown.

    python -m benchmarks.upkeep [--events 10000000 100000000]

The feeds are loaded a tenth of the larger size at a time and then deleted, so that disk is needed for the warehouse
and the raw lake only. `audit maintain` merges what was loaded since it ran last; its cost is set against those events.
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


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs=2, default=(10_000_000, 100_000_000), metavar=("SMALL", "LARGE"))
    measure.add_json_option(parser)
    options = parser.parse_args()
    small, large = options.events
    figures: list[Figure] = []
    costs: dict[tuple[str, int], tuple[Usage, int]] = {}
    with tempfile.TemporaryDirectory(prefix="activity-audit-bench-") as name:
        folder, loaded = Path(name), 0
        for size in (small, large):
            new = size - loaded
            _load(folder, loaded, size, large)
            loaded = size
            for command, events in (("verify", size), ("maintain", new)):
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


def _load(folder: Path, loaded: int, wanted: int, all_events: int) -> None:
    """Bring the warehouse from `loaded` to `wanted` of all events, some days of feeds at a time."""
    given = folder / "feeds"
    hours = max(_LOADS, all_events // EVENTS_AN_HOUR)
    first, last = (round(hours * events / all_events) for events in (loaded, wanted))
    step = -(-hours // _LOADS)
    for start in range(first, last, step):
        make_feeds(given, all_events, hours, "ndjson", range(start, min(start + step, last)))
        measure.audit(folder / "home", "run", AUDIT_FEED_URL=str(given))
        shutil.rmtree(given)
        print(f"{min(start + step, last)} of {hours} hours are loaded", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
