"""What every benchmark needs: what a process takes, what it ran on, and how figures are written.

Times are seconds, memory is MiB, sizes are bytes unless a figure's unit says otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "dagster", "great-expectations", "pyarrow")
_SAMPLE_EVERY = 0.1
_TOLD_OF_A_FAILURE = 20


@dataclass(frozen=True)
class Usage:
    """What a process and all that it started took."""

    wall: float
    cpu: float
    peak_mib: float


@dataclass(frozen=True)
class Figure:
    """One measured number, as the file of `--json` has it."""

    name: str
    value: float
    unit: str


class Failed(Exception):
    """A measured process ended with another exit code than 0; the message has the end of what it wrote."""


def measured(
    command: Sequence[str | os.PathLike[str]],
    environment: Mapping[str, str] | None = None,
    *,
    cwd: Path | None = None,
    output: Path | None = None,
) -> Usage:
    """Run a command; its standard output goes to the file `output`, or nowhere. Raises `Failed` with what it said.

    `environment` is added to this process's. CPU is user and system time of the process and its descendants. The peak
    is the largest sum of resident memory of the whole tree that was seen, every tenth of a second, or the largest of a
    single process, which the operating system knows exactly.
    """
    with tempfile.TemporaryFile() as said, Path(output).open("wb") if output else contextlib.nullcontext(said) as out:
        inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.perf_counter()
        child = subprocess.Popen(
            [os.fspath(part) for part in command],
            env={**os.environ, **(environment or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=said,
        )
        tree = _Tree(child.pid)
        tree.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - started
            child.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if child.returncode is None:
                child.kill()
            tree.stop()
        if child.returncode:
            said.seek(0)
            told = said.read().decode(errors="replace").splitlines()[-_TOLD_OF_A_FAILURE:]
            raise Failed("\n".join([f"{' '.join(map(str, command))} ended with {child.returncode}", *told]))
    unit = 1024 if platform.system() == "Linux" else 1024**2
    # Descendants that nobody waited for are in no one's account, but were seen while they lived.
    cpu = max(usage.ru_utime + usage.ru_stime, tree.cpu)
    # Linux has a process begin with the peak of the one that started it.
    largest = usage.ru_maxrss if usage.ru_maxrss > inherited else 0
    return Usage(wall, cpu, max(largest / unit, tree.peak / 1024**2))


class _Tree(threading.Thread):
    """Looks at a process and its descendants again and again."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self._cpu: dict[int, float] = {}
        self.peak = 0

    @property
    def cpu(self) -> float:
        return sum(self._cpu.values())

    def run(self) -> None:
        while not self._over.wait(_SAMPLE_EVERY):
            self._look()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _look(self) -> None:
        import psutil

        resident = 0
        try:
            parent = psutil.Process(self._pid)
            processes = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            # One that ends while it is looked at is no longer part of it.
            with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():
                resident += process.memory_info().rss
                times = process.cpu_times()
                self._cpu[process.pid] = times.user + times.system
        self.peak = max(self.peak, resident)


def audit(home: Path, *arguments: str, output: Path | None = None, **settings: str) -> Usage:
    """Run `audit` with these arguments on a home, with these settings as environment variables. Raises `Failed`."""
    command = Path(sys.executable).with_name("audit")
    return measured([command, *arguments], {**settings, "AUDIT_HOME": str(home)}, output=output)


def bytes_below(folder: Path) -> int:
    """The bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def machine(folder: Path = ROOT) -> dict[str, Any]:
    """What it was measured on, now: processor, cores, memory, the disk of `folder`, kernel, load."""
    import psutil

    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 1024**3, 1),
        "disk": _disk(folder),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_1min": round(os.getloadavg()[0], 1),
    }


def versions() -> dict[str, str]:
    """What was measured: Python, the packages that matter, and ours as git names it."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    found["activity-audit"] = _revision() or version("activity-audit")
    return found


def _revision() -> str:
    """The commit, with a mark where files differ from it other than those that benchmarks write; empty without git."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results", ":!README.md")
    return git("describe", "--always") + ("-dirty" if changed else "")


def _cpu_model() -> str:
    if platform.system() == "Darwin":
        named = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=True)
        return named.stdout.strip()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _disk(folder: Path) -> str:
    """Kind of the file system, its device, and its size."""
    import psutil

    mounts = [part for part in psutil.disk_partitions(all=True) if folder.resolve().is_relative_to(part.mountpoint)]
    kind = ""
    if mounts:
        mount = max(mounts, key=lambda part: len(part.mountpoint))
        kind = f"{mount.fstype} on {mount.device}, "
    return f"{kind}{psutil.disk_usage(str(folder)).total / 1000**3:.0f} GB"


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """The option by which `make bench` asks every benchmark for its figures."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")


def write_figures(path: Path | None, figures: Iterable[Figure]) -> None:
    """Write figures as a flat list of objects with name, value and unit; nothing without a path."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n", encoding="utf-8")


def read_figures(path: Path) -> list[Figure]:
    """What `write_figures` wrote."""
    return [Figure(**row) for row in json.loads(path.read_text(encoding="utf-8"))]


def usage_figures(name: str, usage: Usage) -> list[Figure]:
    """The three figures of a process: `<name> wall`, `<name> CPU`, `<name> peak memory`."""
    return [
        Figure(f"{name} wall", round(usage.wall, 2), "s"),
        Figure(f"{name} CPU", round(usage.cpu, 2), "s"),
        Figure(f"{name} peak memory", round(usage.peak_mib), "MiB"),
    ]


def report(path: Path | None, figures: Sequence[Figure]) -> None:
    """Print figures as a table, and write them to the file of `--json` if there is one."""
    print(figure_table(figures))
    write_figures(path, figures)


def figure_table(figures: Iterable[Figure]) -> str:
    """Figures as a Markdown table."""
    return markdown(("", "value", "unit"), [(figure.name, f"{figure.value:,.10g}", figure.unit) for figure in figures])


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return sorted(values)[max(0, round(0.95 * len(values)) - 1)]


def heading(folder: Path = ROOT) -> str:
    """One line with the machine, the versions and the time (UTC) of a measurement."""
    about, packages = machine(folder), versions()
    return (
        f"{machine_text(about)}, load {about['load_1min']}; {versions_text(packages)}; "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    )


def machine_text(about: Mapping[str, Any]) -> str:
    """What `machine` found, but for the load, as a text."""
    return f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['disk']}, {about['system']}"


def versions_text(packages: Mapping[str, str]) -> str:
    """What `versions` found, as a text."""
    return ", ".join(f"{name} {number}" for name, number in packages.items())


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column to the left, columns of numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    right = [
        index > 0 and all(not row[index] or row[index][0].isdigit() for row in cells) for index in range(len(header))
    ]
    lines = [list(header), ["---:" if numeric else "---" for numeric in right], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
