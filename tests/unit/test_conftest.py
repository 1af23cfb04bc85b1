"""The tests begin however pytest is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_tests_begin_without_pytest_s_cache(tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "tests")]
    done = subprocess.run(
        [*command, f"{tests}/unit/settings/test_folders.py::test_data_in_the_cache"],
        cwd=tests.parent,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.glob("audit-cache-*")) == []


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_begins_with_files_for_their_owner_alone(turn: int) -> None:
    assert (turn, os.umask(0o022)) == (turn, 0o077)
