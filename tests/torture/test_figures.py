"""The table of figures: summed over workers, and written beside the rows of earlier sessions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.made_once import FOLDER
from tests.torture.figures import Figures, collected, documented


def test_figures_are_summed_and_written_beside_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert collected() == {}
    for seconds in (2.5, 1.0):
        Figures("b: killed").add(rounds=1, faults=2, lost=0)
        Figures("b: killed").most(longest_wait_s=seconds)
    rows = collected()
    assert rows == {"b: killed": {"rounds": 2, "faults": 4, "lost": 0, "longest_wait_s": 2.5}}
    empty = "before\n<!-- figures: written by make torture -->\n<!-- figures: end -->\nafter\n"
    first = documented(empty, rows, ("2026-05-01", "v1", "1"))
    assert "| b: killed | 2026-05-01 | v1 | 1 | 2 | 4 |  |  | 0 |  | longest wait s 2.5 |\n" in first
    Figures("a").add(inputs=1000)
    Figures("b: killed").add(rounds=1)
    both = documented(first, {"a": collected()["a"]}, ("2026-05-02", "v2", "7"))
    assert both.index("| a | 2026-05-02 | v2 | 7 |  |  | 1,000 |") < both.index(
        "| b: killed | 2026-05-01 | v1 | 1 | 2 |"
    )
    assert (both.partition("<!--")[0], both.rpartition("-->\n")[2]) == ("before\n", "after\n")
    # A row that ends in empty cells stays as it is.
    assert documented(both, {}, ()) == both
    assert "| b: killed | 2026-05-03 | v3 | 1 | 3 |" in documented(both, collected(), ("2026-05-03", "v3", "1"))
