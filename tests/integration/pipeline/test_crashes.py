"""What dbt worked out is kept, and made again where a killed process left it half written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from activity_audit.dbt_runner import column_lineage, project


@pytest.mark.slow
def test_a_manifest_that_a_killed_process_left_half_written_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = project.manifest()
    shutil.copytree(project.target_dir(), tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(project, "target_dir", lambda: tmp_path)
    torn = project.manifest_file()
    torn.write_bytes(torn.read_bytes()[:1000])
    assert project.manifest.__wrapped__()["nodes"].keys() == whole["nodes"].keys()


@pytest.mark.slow
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:1000])])
def test_what_dbt_parsed_is_made_again_where_it_is_lost_or_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    whole = project.manifest()
    shutil.copytree(project.target_dir(), tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(project, "target_dir", lambda: tmp_path)
    damage(tmp_path / "partial_parse.msgpack")
    assert project.manifest.__wrapped__()["nodes"].keys() == whole["nodes"].keys()
    assert project.parsed().nodes.keys() == whole["nodes"].keys()
    # A process has the manifest in memory when the cache is emptied.
    shutil.rmtree(tmp_path)
    assert project.parsed().nodes.keys() == whole["nodes"].keys()


@pytest.mark.parametrize("content", [b"", b'{"model.a": ', b"\xff", b"[]", b'{"model.a": 1}'])
def test_a_damaged_column_lineage_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(column_lineage, "target_dir", lambda: tmp_path)
    (tmp_path / "column_lineage.json").write_bytes(content)
    assert not column_lineage.is_current()
    assert column_lineage.load() == {}
    (tmp_path / "column_lineage.json").write_text('{"model.a": {"x": [["model.b", "y"]]}}')
    assert column_lineage.is_current()
    assert column_lineage.load() == {"model.a": {"x": [["model.b", "y"]]}}
