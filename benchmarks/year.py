"""What a year of small files costs, and whether its events cost what a month's do, at the same events an hour.

    python -m benchmarks.year [--hours 730 8760] [--events-per-hour 200]

Each is one `audit run` on an empty warehouse: the hours of 16 feeds, a file each. What a run costs at all, measured on
a single hour, is taken off both before they are compared.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import measure
from benchmarks.bulk_feeds import FORMATS, make_feeds
from benchmarks.measure import Figure, Usage


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, nargs=2, default=(730, 8760), metavar=("SHORT", "LONG"))
    parser.add_argument("--events-per-hour", type=int, default=200)
    measure.add_json_option(parser)
    options = parser.parse_args()
    short, long = options.hours
    with tempfile.TemporaryDirectory(prefix="activity-audit-bench-") as folder:
        usages = {hours: _backfill(Path(folder), hours, options.events_per_hour) for hours in (1, short, long)}
        files = sum(1 for _ in Path(folder, f"feeds-{long}").rglob(FORMATS["ndjson"]))
    figures = _figures(usages, short, long, options.events_per_hour, files)
    print(measure.heading())
    measure.report(options.json, figures)


def _backfill(folder: Path, hours: int, events_per_hour: int) -> Usage:
    given = folder / f"feeds-{hours}"
    make_feeds(given, hours * events_per_hour, hours, "ndjson")
    return measure.audit(folder / f"home-{hours}", "run", AUDIT_FEED_URL=str(given))


def _figures(usages: dict[int, Usage], short: int, long: int, rate: int, files: int) -> list[Figure]:
    found = [figure for hours, usage in usages.items() for figure in measure.usage_figures(f"{hours} hours", usage)]
    each = {hours: (usages[hours].cpu - usages[1].cpu) / ((hours - 1) * rate) for hours in (short, long)}
    found += [Figure(f"{hours} hours CPU per event", round(1e6 * each[hours], 1), "µs") for hours in (short, long)]
    found.append(Figure("CPU per file", round(1e3 * (usages[long].cpu - usages[1].cpu) / files, 2), "ms"))
    # An event's cost in a very short run may drown in noise, or even be below nothing.
    found.append(Figure("long against short", round(each[long] / max(each[short], 1e-9), 3), "ratio"))
    return found


if __name__ == "__main__":
    main()
