"""Modules that are loaded when they are used: not before, and then wholly."""

from __future__ import annotations

import subprocess
import sys

import pytest

_USE = """
import sys
from expectations.late_imports import put_off
put_off()
import expectations.gx_session, expectations.gx_expectations, expectations.docs_pages
assert "scipy.stats" not in sys.modules
from great_expectations.expectations.core.expect_column_kl_divergence_to_be_less_than import stats
assert stats.entropy([1, 1]) > 0 and stats.describe([1, 2, 3]).mean == 2
import scipy.stats
assert scipy.stats.describe([1, 2, 3]).mean == 2
assert "scipy.stats._stats_py" in sys.modules
"""


@pytest.mark.slow
def test_what_great_expectations_imports_in_vain_is_loaded_when_it_is_used() -> None:
    done = subprocess.run([sys.executable, "-c", _USE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
