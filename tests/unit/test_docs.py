"""The documents say what the code does."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path

from orchestration.settings import Settings
from orchestration.simulator.simulate import simulate

ROOT = Path(__file__).parents[2]


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_dbt_project() -> None:
    spec = importlib.util.spec_from_file_location("warehouse_docs", ROOT / "scripts" / "warehouse_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    document = _read("docs/warehouse.md")
    assert module.expected(document) == document, "run `make docs`"


def test_every_setting_is_documented_and_no_other() -> None:
    documented = set(re.findall(r"^\| `(AUDIT_\w+)` \|", _read("docs/operations.md"), re.MULTILINE))
    assert documented == {f"AUDIT_{name.upper()}" for name in Settings.model_fields}


def test_every_command_is_documented() -> None:
    commands = importlib.import_module("orchestration.cli.main")._COMMANDS
    documented = set(re.findall(r"^\| `audit (\w+)", _read("docs/operations.md"), re.MULTILINE))
    assert documented == set(commands)


def test_every_reason_is_documented(tmp_path: Path) -> None:
    from tests.integration.support import HOUR

    reasons = simulate(tmp_path, hours=1, until=HOUR, events_per_hour=400, seed=1, defects=True)["reasons"]
    document = _read("docs/feeds.md")
    assert len(reasons) == 12
    assert [reason for reason in reasons if f"`{reason}`" not in document] == []


def test_links_lead_somewhere() -> None:
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
