"""What the tests of this folder counted: collected over all xdist workers, shown at the end, written by `make torture`.

A pytest plugin, which `tests/conftest.py` loads: the process that shows the figures collects no tests itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from activity_audit.base.hours import now_utc
from benchmarks.measure import markdown, versions
from tests.made_once import FOLDER

# These have columns of their own; all other figures of a row stand in the last one.
COLUMNS = ("rounds", "faults", "inputs", "events", "lost", "doubled")
_BEGIN, _END = "<!-- figures: written by make torture -->\n", "<!-- figures: end -->\n"
_FILE = "torture-figures.jsonl"


class Figures:
    """The figures of one row of the table; many tests, and many workers, may add to the same row."""

    def __init__(self, row: str) -> None:
        self._row = row

    def add(self, **counts: int) -> None:
        """Add to the sums of this row: `rounds`, `faults`, `inputs`, `events`, `lost`, `doubled`, or any other name.

        `lost` and `doubled` are to be added also where they are 0: an empty cell says that nobody counted.
        """
        self._write("sum", counts)

    def most(self, **measured: float) -> None:
        """Keep the largest of each; a name ends in its unit, such as `longest_wait_s` or `peak_memory_mb`."""
        self._write("most", measured)

    def _write(self, how: str, figures: dict[str, int] | dict[str, float]) -> None:
        line = json.dumps({"row": self._row, "how": how, "figures": figures}) + "\n"
        with (Path(os.environ[FOLDER]) / _FILE).open("ab", buffering=0) as file:
            file.write(line.encode())


def collected() -> dict[str, dict[str, float]]:
    """Each row of this session, with its figures."""
    rows: dict[str, dict[str, float]] = {}
    file = Path(os.environ[FOLDER]) / _FILE
    for line in file.read_text().splitlines() if file.exists() else []:
        said = json.loads(line)
        row = rows.setdefault(said["row"], {})
        for name, figure in said["figures"].items():
            row[name] = row.get(name, 0) + figure if said["how"] == "sum" else max(row.get(name, figure), figure)
    return dict(sorted(rows.items()))


def _cells(figures: dict[str, float]) -> list[str]:
    """The columns of a row, and all that has no column."""
    shown = {name: f"{figure:,.1f}" if isinstance(figure, float) else f"{figure:,}" for name, figure in figures.items()}
    others = (f"{name.replace('_', ' ')} {figure}" for name, figure in shown.items() if name not in COLUMNS)
    return [*(shown.get(name, "") for name in COLUMNS), ", ".join(others)]


def documented(document: str, rows: dict[str, dict[str, float]], said: Sequence[str]) -> str:
    """The document with these rows in its table, which begin with `said`; rows that this session did not make stay."""
    before, begin, rest = document.partition(_BEGIN)
    table, end, after = rest.partition(_END)
    assert begin
    assert end
    cells = [[cell.strip() for cell in line.strip().split("|")[1:-1]] for line in table.strip().splitlines()[2:]]
    kept = {name: others for name, *others in cells} | {row: [*said, *_cells(rows[row])] for row in rows}
    head = ("", "date", "version", "seed", *COLUMNS, "besides")
    return f"{before}{begin}\n{markdown(head, ([row, *kept[row]] for row in sorted(kept)))}\n{end}{after}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `make torture` decides."""
    group = parser.getgroup("torture")
    group.addoption("--rounds", type=int, default=200, help="how many rounds a long test of faults has")
    group.addoption("--seed", type=int, default=1, help="what the faults and their moments are drawn from")
    group.addoption("--figures", type=Path, help="the document whose table gets the figures")


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Show the figures of this session, and write them where `--figures` says, if all of it passed."""
    if not (rows := collected()):
        return
    terminalreporter.section("figures of faults and load")
    terminalreporter.write(markdown(("", *COLUMNS, "besides"), ([row, *_cells(rows[row])] for row in rows)))
    if (path := config.getoption("figures")) and exitstatus == 0:
        said = (f"{now_utc():%Y-%m-%d}", versions()["activity-audit"], str(config.getoption("seed")))
        path.write_text(documented(path.read_text(encoding="utf-8"), rows, said), encoding="utf-8")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How many rounds a test of the long mode has."""
    return request.config.getoption("rounds")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What a test draws its faults and their moments from."""
    return request.config.getoption("seed")
