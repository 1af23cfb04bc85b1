"""All benchmarks, one after the other, each in a process of its own; what is measured is written to `results/`.

    python -m benchmarks [--full] [--only PART …] [--list]

A part that fails leaves its reason in the table, and the next one runs. With `--only`, the results of other parts stay
as they are. The tables of `docs/performance.md` and of the README are written from the full sizes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import measure, results
from benchmarks.measure import ROOT
from benchmarks.parts import PARTS, Part

SCRATCH = ROOT / "var" / "bench"
_TOLD_OF_A_FAILURE = 12


def main() -> int:
    """Run what is asked for; 1 if a part failed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="the sizes that the targets are for; hours")
    parser.add_argument("--only", nargs="+", metavar="PART", choices=[part.name for part in PARTS])
    parser.add_argument("--list", action="store_true", help="only say which parts there are")
    parser.add_argument("--results", type=Path, default=measure.RESULTS, help="where results are written")
    options = parser.parse_args()
    size = "full" if options.full else "small"
    chosen = [part for part in PARTS if part.arguments(size) is not None and part.name in (options.only or part.name)]
    if options.list:
        for part in chosen:
            print(f"{part.name:18}{part.about}")
        return 0
    done = run_all(chosen, size, options.results)
    if options.full and options.results == measure.RESULTS:
        results.write_documents()
    print((options.results / f"{size}.md").read_text(encoding="utf-8"))
    return 1 if any(result.failed for result in done) else 0


def run_all(parts: Sequence[Part], size: str, folder: Path) -> list[results.Result]:
    """Run these parts, saving each result as soon as it is there."""
    done = []
    for number, part in enumerate(parts, 1):
        _say(f"[{number}/{len(parts)}] {part.name}: {part.about} …")
        result = run(part, size)
        results.save(result, folder)
        results.write_report(size, folder)
        _say(
            f"[{number}/{len(parts)}] {part.name}: {(result.failed or 'done').splitlines()[0]}, {result.seconds:.0f} s"
        )
        done.append(result)
    return done


def run(part: Part, size: str) -> results.Result:
    """Run one part; what goes wrong is in its result. What it prints is kept in var/bench/logs."""
    arguments = list(part.arguments(size) or ())
    SCRATCH.mkdir(parents=True, exist_ok=True)
    result = results.Result(
        part=part.name,
        size=size,
        at=f"{datetime.now(UTC):%Y-%m-%d %H:%M}",
        seconds=0,
        arguments=arguments,
        machine=measure.machine(SCRATCH),
        versions=measure.versions(),
    )
    started = time.monotonic()
    free = shutil.disk_usage(SCRATCH).free / 1e9
    if size == "full" and free < part.gigabytes:
        result.failed = f"{part.gigabytes} GB of disk are needed in {SCRATCH}, and {free:.0f} are free"
    else:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=SCRATCH) as folder:
            figures = Path(folder) / "figures.json"
            commands = [] if part.home is None or (ROOT / part.home).exists() else [part.prepare]
            commands.append((part.module, *arguments, "--json", str(figures)))
            log = SCRATCH / "logs" / f"{part.name}.log"
            log.parent.mkdir(exist_ok=True)
            log.unlink(missing_ok=True)
            for command in commands:
                result.failed = result.failed or _child(command, folder, log)
            if not result.failed:
                result.figures = measure.read_figures(figures)
    result.seconds = round(time.monotonic() - started, 1)
    return result


def _child(command: Sequence[str], scratch: str, log: Path) -> str:
    """Run a module with its temporary files in `scratch`; why it failed, or nothing."""
    with log.open("ab") as out:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": scratch, "AUDIT_CACHE": str(SCRATCH / "cache"), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode == 0:
        return ""
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TOLD_OF_A_FAILURE:]
    return "\n".join([f"{command[0]} ended with {done.returncode}: {last[-1] if last else ''}", *last])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
