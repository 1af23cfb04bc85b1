"""The scratch database of a run, where a run's memory is not enough."""

from __future__ import annotations

import pytest

from orchestration.settings import Settings, load_settings
from orchestration.workbench import Workbench


def test_a_run_that_spilt_to_disk_connects_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_MEMORY_LIMIT", "60MB")
    settings = load_settings()
    spill = settings.work_dir / "spill"
    with Workbench(settings, "run").kept() as workbench:
        with workbench.connect() as connection:
            connection.execute(
                "create temp table large as select repeat(hash(i)::text, 5) from range(500000) as r (i) order by 1"
            )
            assert list(spill.iterdir())
        with workbench.connect() as connection:
            assert connection.execute("select current_setting('temp_directory')").fetchall() == [(str(spill),)]
