"""What does not fit into memory: each process puts it into a folder of its own, which no other one removes."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

from activity_audit.base.files import OwnFolder
from activity_audit.settings.core import Settings
from activity_audit.warehouse import extensions, lake, spill
from activity_audit.warehouse.run_lock import exclusive
from tests.integration.support import AUDIT, process_environment, until

# Some 180 MB, which no process here may have in memory; its answer needs all of it to be read again.
_ROWS = 500_000
_LARGE = f"select i, repeat(md5(i::varchar), 10) as m from range({_ROWS}) as r (i) order by m"
_ANSWER = f"select count(*) as n, sum(length(m)) as length from ({_LARGE} limit {_ROWS - 1})"
_LITTLE = {"AUDIT_MEMORY_LIMIT": "120MB"}


def _spilt(settings: Settings) -> list[Path]:
    return list(settings.spill_dir.glob("**/*.tmp"))


def test_a_question_that_spills_outlives_a_run(report_home: Settings, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [AUDIT, "sql", _ANSWER, "--output", "csv"],
        env=process_environment(report_home, **_LITTLE),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: bool(_spilt(report_home)))
    with exclusive(report_home):
        assert _spilt(report_home)
    assert process.poll() is None, "it was over before the run was, so that nothing is shown"
    said, complaint = process.communicate()
    assert (process.returncode, said) == (0, f"n,length\n{_ROWS - 1},{320 * (_ROWS - 1)}\n"), complaint
    assert not list(tmp_path.iterdir())
    assert not _spilt(report_home)


def test_a_reader_of_the_report_that_spills_outlives_a_run(report_home: Settings) -> None:
    little = report_home.model_copy(update={"memory_limit": "120MB"})
    connection = lake.open_reader(little)
    lake.lock_down(connection, little)
    cursor = connection.execute(_LARGE)
    assert cursor.fetchone()
    with exclusive(report_home):
        assert _spilt(report_home)
    rows = 1
    while batch := cursor.fetchmany(100_000):
        rows += len(batch)
    connection.close()
    assert rows == _ROWS


def test_two_readers_of_a_process_that_spill_at_once_do_not_mix_their_rows(report_home: Settings) -> None:
    little = report_home.model_copy(update={"memory_limit": "120MB"})

    def read(first: int) -> int:
        connection = lake.open_reader(little)
        lake.lock_down(connection, little)
        cursor = connection.execute(_LARGE.replace(f"range({_ROWS})", f"range({first}, {first + _ROWS})"))
        numbers = set()
        while batch := cursor.fetchmany(100_000):
            numbers |= {i for i, m in batch if m[:32] == hashlib.md5(str(i).encode()).hexdigest()}
        connection.close()
        return len(numbers & set(range(first, first + _ROWS)))

    with ThreadPoolExecutor(2) as readers:
        assert list(readers.map(read, (0, _ROWS))) == [_ROWS, _ROWS]
    assert not _spilt(report_home)


def test_every_reader_spills_into_the_folder_of_its_process(report_home: Settings) -> None:
    own = str(spill.folder(report_home))
    with lake.reader(report_home) as connection:
        ((used,),) = connection.execute("select current_setting('temp_directory')").fetchall()
    assert Path(used).parent == Path(own)
    assert spill.folder(report_home).is_relative_to(report_home.spill_dir)


def test_a_run_removes_what_a_killed_process_left(settings: Settings) -> None:
    settings.spill_dir.mkdir(parents=True)
    (settings.spill_dir / "duckdb_temp_storage_DEFAULT-0.tmp").write_text("of an earlier release")
    hold = (
        "import sys, time; from pathlib import Path; from activity_audit.base.files import OwnFolder\n"
        "own = OwnFolder(Path(sys.argv[1])); print(own.path, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", hold, str(settings.spill_dir)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    left = Path(process.stdout.readline().strip())
    (left / "duckdb_temp_storage_DEFAULT-0.tmp").write_text("x")
    with exclusive(settings):
        assert (left / "duckdb_temp_storage_DEFAULT-0.tmp").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with exclusive(settings):
        assert [path.name for path in settings.spill_dir.iterdir()] == [".lock"]


def test_a_folder_that_is_removed_is_gone(tmp_path: Path) -> None:
    mine, other = OwnFolder(tmp_path), OwnFolder(tmp_path)
    assert mine.path != other.path
    mine.remove()
    assert (mine.path.exists(), other.path.exists()) == (False, True)
    other.remove()


def test_where_the_home_cannot_be_written_the_system_s_folder_is_used(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.work_dir.mkdir(parents=True)
    settings.spill_dir.write_text("no folder can be made here")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert spill.folder(settings).parent == tmp_path
    with spill.scratch(settings) as own:
        (own / "x").write_text("x")
    assert not own.exists()


def test_a_duckdb_without_a_folder_spills_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with extensions.connect(memory_limit="60MB") as connection, pytest.raises(duckdb.OutOfMemoryException):
        connection.execute(f"create table large as {_LARGE}")
    assert not list(tmp_path.iterdir())


def test_only_one_place_opens_a_duckdb() -> None:
    root = Path(extensions.__file__).parents[2]
    opening = [
        str(path.relative_to(root))
        for package in ("activity_audit", "orchestration", "expectations")
        for path in (root / package).rglob("*.py")
        if re.search(r"\bduckdb\.connect\(", path.read_text(encoding="utf-8"))
    ]
    assert opening == ["activity_audit/warehouse/extensions.py"]
