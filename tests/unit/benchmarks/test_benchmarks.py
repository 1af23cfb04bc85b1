"""What the benchmarks' own machinery writes; nothing here depends on how long anything takes."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import __main__ as command
from benchmarks import measure, results
from benchmarks.parts import PARTS, SIZES
from benchmarks.targets import TARGETS

_GRANDCHILD = "import time; kept = bytearray(64 << 20); time.sleep(0.5)"
_PARTS = {part.name: part for part in PARTS}


def test_a_process_is_measured_with_its_descendants(tmp_path: Path) -> None:
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_GRANDCHILD!r}]); print('said')"
    usage = measure.measured([sys.executable, "-c", program], output=tmp_path / "out")
    assert (tmp_path / "out").read_text() == "said\n"
    assert usage.wall >= 0.5
    assert usage.cpu > 0
    assert 64 < usage.peak_mib < 1024


def test_what_the_measuring_process_took_is_not_the_measured_ones() -> None:
    kept = bytearray(300 << 20)
    usage = measure.measured([sys.executable, "-c", "import time; time.sleep(0.3)"])
    assert len(kept) / 2**20 > usage.peak_mib > 4


def test_a_measured_process_that_fails_says_why() -> None:
    with pytest.raises(measure.Failed, match=r"ended with 3\nno such thing"):
        measure.measured([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); sys.exit(3)"])


def test_machine_and_versions_are_known(tmp_path: Path) -> None:
    about, versions = measure.machine(tmp_path), measure.versions()
    assert about["cpu"]
    assert about["cores"] >= 1
    assert about["disk"].endswith(" GB")
    assert "none" not in versions.values()
    assert {"python", "duckdb", "dbt-core", "dagster", "great-expectations", "activity-audit"} <= set(versions)


def test_every_target_has_a_part_of_the_full_size() -> None:
    assert {target.part for target in TARGETS} <= {part.name for part in PARTS if part.arguments("full") is not None}
    assert len({part.name for part in PARTS}) == len(PARTS)
    assert all(any(part.arguments(size) is not None for size in SIZES) for part in PARTS)


def _part(folder: Path, name: str, code: str) -> None:
    """A module that stands for a benchmark."""
    (folder / f"{name}.py").write_text(f"import sys\n{code}\n", encoding="utf-8")


def test_all_results_are_written_also_when_a_part_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(command, "SCRATCH", tmp_path / "scratch")
    figures = [{"name": "long against short", "value": 1.12, "unit": "ratio"}]
    _part(tmp_path, "works", f"open(sys.argv[-1], 'w').write('''{json.dumps(figures)}''')")
    _part(tmp_path, "breaks", "sys.exit('the disk is <full>')")
    peers = [
        *((f"a bulk load, {name} {what}", value, "") for name in ("activity-audit", "chdb") for what, value in (
            ("wall", 2.0), ("CPU", 3.0), ("peak memory", 400), ("records", 1000), ("equal", 1))),
        ("a bulk load, spark equal", 0, ""),
    ]  # fmt: skip
    written = json.dumps([dict(zip(("name", "value", "unit"), row, strict=True)) for row in peers])
    _part(tmp_path, "compares", f"open(sys.argv[-1], 'w').write('''{written}''')")
    parts = [
        replace(_PARTS["upkeep"], module="breaks", gigabytes=0),
        replace(_PARTS["year"], module="works", gigabytes=0),
        replace(_PARTS["peers"], module="compares", gigabytes=0),
        replace(_PARTS["bulk-50m"], module="works", gigabytes=10**9),
    ]
    done = command.run_all(parts, "full", tmp_path / "results")
    assert [bool(result.failed) for result in done] == [True, False, False, True]
    assert results.load("full", tmp_path / "results").keys() == {part.name for part in parts}
    report = (tmp_path / "results" / "full.md").read_text(encoding="utf-8")
    assert "| a year's backfill against a month's, CPU per event | ≤ 1.15 | ≤ 1 | 1.12 | target |" in report
    assert "failed: breaks ended with 1: the disk is <full> |" in report
    assert "GB of disk are needed" in report
    assert "| peak memory at 10M events | ≤ 3072 MiB |  |  | not measured |" in report
    assert "| a bulk load | chdb | 1,000 | 2.0 | 3.0 | 400 | equal |" in report
    assert "| a bulk load | spark |  |  |  |  | failed |" in report
    drawn = ElementTree.fromstring((tmp_path / "results" / "full.svg").read_text(encoding="utf-8"))
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a year's backfill against a month's, CPU per event", "1.12", "a bulk load: chdb", "500"} <= set(texts)
    # A part that is run again takes its own place only.
    command.run_all([replace(parts[0], module="works")], "full", tmp_path / "results")
    again = results.load("full", tmp_path / "results")
    assert not again["upkeep"].failed
    assert again["bulk-50m"].failed
    documents = [tmp_path / "README.md", tmp_path / "docs" / "performance.md"]
    documents[1].parent.mkdir()
    for document in documents:
        document.write_text("before\n<!-- bench: written by make bench-full -->\nold\n<!-- bench: end -->\nafter\n")
    results.write_documents(tmp_path, tmp_path / "results")
    readme, every = (document.read_text(encoding="utf-8") for document in documents)
    for text in (readme, every):
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert "old" not in text
        assert "| peak memory at 50M events |" in text
    assert "| a year's backfill against a month's, CPU per event | ≤ 1.15 | ≤ 1 | 1.12 | target |" in every
    assert "a year's backfill" not in readme
    assert "chdb" in every
    assert "chdb" not in readme


@pytest.mark.parametrize(
    ("value", "at_least", "verdict"),
    [(0.9, False, "goal"), (1, False, "goal"), (2, False, "target"), (2.1, False, "missed"), (1, True, "missed"),
     (2, True, "target"), (3, True, "goal")],
)  # fmt: skip
def test_the_verdict_of_a_target(value: float, at_least: bool, verdict: str) -> None:
    target = replace(TARGETS[0], target=2, goal=3 if at_least else 1, at_least=at_least)
    assert target.met(value) == verdict
