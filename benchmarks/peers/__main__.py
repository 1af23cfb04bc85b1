"""The product beside pandas, dlt with dbt, PySpark and ClickHouse: the same feeds, the same rules, one after the other.

    python -m benchmarks.peers [--events 1000000] [--hours 48] [--feeds DIR] [--only NAME …] [--json FILE]

Each is run twice: on one hour of 20,000 records, where what counts is what a run costs at all, and on the whole feed.
Before that, each is held to every rule on a few records. `equal` means the same events with the same columns, the same
counts, and the same reasons.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure
from benchmarks.bulk_feeds import make_feeds
from benchmarks.measure import ROOT, Figure, Usage
from benchmarks.peers import compare, edges
from benchmarks.peers.environments import HERE, PEERS, python_of, version_of

OURS = "activity-audit"
_HOUR = 20_000


@dataclass(frozen=True)
class Run:
    """What one of them took on one feed, and how its result differs from ours; no usage where it failed."""

    case: str
    name: str
    usage: Usage | None
    events: int
    bytes_of_fact: int
    difference: str


def main() -> None:
    """Run, compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--hours", type=int, default=48)
    parser.add_argument("--feeds", type=Path, help="feeds that are there already, in place of simulated ones")
    parser.add_argument("--only", nargs="*", choices=PEERS, default=PEERS)
    measure.add_json_option(parser)
    options = parser.parse_args()
    print(measure.heading())
    with tempfile.TemporaryDirectory(prefix="activity-audit-bench-", dir=_place()) as name:
        runs = run_all(Path(name), options.events, options.hours, options.feeds, options.only)
    print(table(runs))
    measure.write_figures(options.json, figures(runs))


def _place() -> Path:
    folder = ROOT / "var" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run_all(folder: Path, events: int, hours: int, whole: Path | None, peers: Sequence[str]) -> list[Run]:
    """Every case with the product and every peer, in a folder that has room."""
    cases = {"edges": folder / "edges", "an hour": folder / "hour", "a bulk load": whole or folder / "bulk"}
    edges.write(cases["edges"])
    make_feeds(cases["an hour"], _HOUR, 1, "ndjson")
    if whole is None:
        make_feeds(cases["a bulk load"], events, hours, "ndjson")
    runs = []
    for case, given in cases.items():
        ours, result = of_ours(case, given, folder / "ours")
        told(ours)
        runs.append(ours)
        for peer in peers:
            run = of_peer(case, peer, given, folder / "peer", result)
            told(run)
            runs.append(run)
            shutil.rmtree(folder / "peer", ignore_errors=True)
        shutil.rmtree(folder / "ours")
    return runs


def of_ours(case: str, given: Path, folder: Path) -> tuple[Run, compare.Result]:
    """The product on a warehouse that is empty. Raises `Failed`."""
    from activity_audit.settings.core import load_settings

    home = folder / "home"
    usage = measure.audit(home, "run", AUDIT_FEED_URL=str(given))
    result = compare.of_ours(load_settings(home=home), folder)
    size = measure.bytes_below(home / "warehouse" / "data" / "main" / "fact_activity_event")
    return Run(case, OURS, usage, result.counts["received"], size, ""), result


def of_peer(case: str, peer: str, given: Path, out: Path, ours: compare.Result) -> Run:
    """A peer in a process of its own; what goes wrong is in its result."""
    events = ours.counts["received"]
    try:
        command: list[str | Path] = [python_of(peer), HERE / peer / "load.py", "--feeds", given]
        usage = measure.measured([*command, "--catalogue", ROOT / "dbt_project" / "seeds", "--out", out])
        theirs = compare.of_peer(out)
    except measure.Failed as failure:
        return Run(case, peer, None, events, 0, f"failed: {failure}")
    return Run(case, peer, usage, events, measure.bytes_below(out / "fact"), compare.difference(ours, theirs))


def told(run: Run) -> None:
    """Say how it went, as soon as it is known."""
    took = f"{run.usage.wall:.1f} s" if run.usage else "-"
    print(f"{run.case}: {run.name} {took} {run.difference}", file=sys.stderr, flush=True)


def table(runs: Sequence[Run]) -> str:
    """The runs that were timed, with whether they are equal to ours, on the records that try the rules too."""
    at_edges = {run.name: run.difference for run in runs if run.case == "edges"}
    rows = []
    for run in runs:
        if run.case == "edges":
            continue
        name = OURS if run.name == OURS else f"{run.name} ({version_of(run.name)})"
        verdict = "" if run.name == OURS else "; ".join(filter(None, (at_edges[run.name], run.difference))) or "equal"
        took: tuple[object, ...] = ("", "", "", "")
        if run.usage:
            per_second = round(run.events / run.usage.wall)
            took = (f"{run.usage.wall:.1f}", f"{run.usage.cpu:.1f}", f"{per_second:,}", round(run.usage.peak_mib))
        rows.append((f"{run.case}, {run.events:,}", name, *took, f"{run.bytes_of_fact / 1e6:.1f}", verdict))
    return measure.markdown(("records", "", "wall s", "CPU s", "records/s", "peak MiB", "fact MB", "result"), rows)


def figures(runs: Sequence[Run]) -> list[Figure]:
    """What the table says, as numbers; `equal` is 1 or 0."""
    found = []
    for run in runs:
        if run.usage and run.case != "edges":
            found += measure.usage_figures(f"{run.case}, {run.name}", run.usage)
            found.append(Figure(f"{run.case}, {run.name} records", run.events, "records"))
        found.append(Figure(f"{run.case}, {run.name} equal", int(not run.difference), "1 or 0"))
    return found


if __name__ == "__main__":
    main()
