"""The scratch database of a run, and the memory of its connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from activity_audit.settings.core import Settings, load_settings
from activity_audit.transform.scratch import Workbench
from activity_audit.warehouse import spill


def test_a_run_that_spilt_to_disk_connects_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_MEMORY_LIMIT", "90MB")
    settings = load_settings()
    with Workbench(settings, "run").kept() as workbench:
        with workbench.connect() as connection:
            connection.execute(
                "create temp table large as select repeat(hash(i)::text, 5) from range(500000) as r (i) order by 1"
            )
            assert list(spill.folder(settings).glob("*.tmp"))
        with workbench.connect() as connection:
            assert connection.execute("select current_setting('temp_directory')").fetchall() == [
                (str(spill.folder(settings)),)
            ]


def test_nothing_is_kept_in_memory_of_files_that_were_read(settings: Settings, tmp_path: Path) -> None:
    with Workbench(settings, "run").kept() as workbench, workbench.connect() as connection:
        for number in range(20):
            connection.execute(f"copy (from range(10)) to '{tmp_path / str(number)}.parquet' (format parquet)")
        connection.execute(f"select count(*), sum(range) from read_parquet('{tmp_path}/*.parquet')")
        held = connection.execute("select memory_usage_bytes from duckdb_memory() where tag = 'EXTERNAL_FILE_CACHE'")
        assert held.fetchall() == [(0,)]
