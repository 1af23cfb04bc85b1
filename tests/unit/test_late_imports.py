"""Modules that are loaded when they are used: not before, and then wholly."""

from __future__ import annotations

import subprocess
import sys

_USE = """
import sys
from expectations.late_imports import put_off
put_off()
import expectations.gx_session, expectations.gx_expectations, expectations.docs_pages
assert "scipy.stats._stats_py" not in sys.modules
from scipy import stats
assert stats.describe([1, 2, 3]).mean == 2
assert "scipy.stats._stats_py" in sys.modules
"""


def test_what_great_expectations_imports_in_vain_is_loaded_when_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-c", _USE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
