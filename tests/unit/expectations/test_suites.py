"""The suites as files: what the product checks, and what Great Expectations alone makes of them."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

from tests.unit.expectation_batch import all_rules

ROOT = Path(__file__).parents[3]
SUITES = ROOT / "expectations" / "suites"
_LOAD = """
import json, shutil, sys
from pathlib import Path
import great_expectations as gx

folder, names = Path(sys.argv[1]), ("feed_contract", "conformance")
memory = gx.get_context(mode="ephemeral")
gx.get_context(mode="file", project_root_dir=Path.cwd())
for name in names:
    memory.suites.add(gx.ExpectationSuite(**json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))))
    shutil.copy(folder / f"{name}.json", "gx/expectations")
copied = gx.get_context(mode="file", project_root_dir=Path.cwd())
for context in (memory, copied):
    print(*(one.meta["id"] for name in names for one in context.suites.get(name).expectations))
assert not {"expectations", "activity_audit"} & set(sys.modules)
"""


def test_the_files_are_of_the_rules_as_they_are() -> None:
    expected = runpy.run_path(str(ROOT / "scripts/gx_suites.py"))["expected"]()
    assert {path.name: path.read_text(encoding="utf-8") for path in SUITES.iterdir()} == expected, "run `make docs`"


def test_great_expectations_alone_loads_every_expectation(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-c", _LOAD, SUITES]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    ids = " ".join(rule.id for rule in all_rules())
    assert done.stdout.splitlines() == [ids, ids]
