"""Processes killed at any moment, and processes side by side: the outcome is the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from activity_audit.dbt_runner import column_lineage, project
from activity_audit.settings.core import Settings, load_settings
from activity_audit.simulator.simulate import simulate
from tests import warm_process
from tests.integration.support import AUDIT, HOUR, audit, dump, process_environment


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    return warm_process.Popen(
        [AUDIT, "run"],
        env=process_environment(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict, float]:
    """Three simulated hours, run in peace: the settings, every table, and how long it took."""
    home = tmp_path_factory.mktemp("undisturbed")
    settings = load_settings(home=home, feed_url=str(home / "landing"))
    simulate(Path(settings.feed_root), hours=3, until=HOUR, events_per_hour=400, seed=7, defects=True)
    started = time.monotonic()
    audit(settings, "run")
    return settings, dump(settings), time.monotonic() - started


def _survives(kills: int, undisturbed: tuple[Settings, dict, float], home: Path, seed: int) -> None:
    calm, expected, seconds = undisturbed
    settings = load_settings(home=home, feed_url=calm.feed_root)
    moments = random.Random(seed)
    for _ in range(kills):
        process = _start(settings)
        time.sleep(moments.uniform(0.2, seconds * 1.1))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
    audit(settings, "run")
    assert dump(settings) == expected
    assert json.loads(audit(settings, "status", "--output", "json", check=False).stdout)["events"]
    assert not list(settings.work_dir.glob("*.duckdb*"))
    assert not list(settings.raw_dir.glob("*/*/*/.*"))
    from orchestration import instance as dagster_instance

    with dagster_instance.instance(settings) as instance:
        import dagster as dg

        running = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
        assert instance.get_runs_count(running) == 0


def test_killed_runs_leave_nothing_wrong(undisturbed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _survives(2, undisturbed, tmp_path, seed=int(os.environ.get("AUDIT_TEST_SEED", "1")))


@pytest.mark.slow
def test_twenty_killed_runs_leave_nothing_wrong(undisturbed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _survives(20, undisturbed, tmp_path, seed=2)


@pytest.mark.slow
def test_two_first_runs_at_once(undisturbed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    calm, expected, _ = undisturbed
    settings = load_settings(home=tmp_path, feed_url=calm.feed_root)
    both = [_start(settings) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
    assert dump(settings) == expected


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
