"""A disk that is full or read-only, damaged files, Ctrl-C, a reader of the output that goes: what real commands say."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activity_audit.base.faults import DamagedError
from activity_audit.base.hours import iso
from activity_audit.ingest.landing import open_index
from activity_audit.raw.index import INDEX_NAME
from activity_audit.raw.lake import local_lake
from activity_audit.settings.core import Settings, load_settings
from tests import warm_process
from tests.integration.mounts import mounted, needs_mounts, remount
from tests.integration.support import (
    AUDIT,
    HOUR,
    audit,
    begin,
    deliver,
    event,
    lines,
    one,
    process_environment,
    run,
    until,
)
from tests.integration.tampering import copied

RUN = ("run", "--from", iso(HOUR), "--to", "2026-05-01T11:00:00Z")
COUNT = "select count(*) from fact_activity_event"
# More than the shortest tail of a page that SQLite could lose.
_LONG = b"this is not what the product wrote. " * 400


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with 20 events; the tests work on copies of it."""
    folder = tmp_path_factory.mktemp("published")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"))
    begin(settings, *(event(f"e{number}") for number in range(20)))
    return settings


@pytest.fixture
def published(home: Settings, settings: Settings) -> Settings:
    return copied(home, settings.home)


def _lose(index: Path) -> None:
    for path in index.parent.glob(f"{INDEX_NAME}*"):
        path.unlink()


def _fails(settings: Settings, *arguments: str, **environment: str) -> str:
    """What a command says that ends with exit code 1, which is no traceback and no word of Python's."""
    done = audit(settings, *arguments, check=False, **environment)
    assert done.returncode == 1, done.stdout + done.stderr
    said = done.stderr
    for word in ("Traceback", "Errno", "sqlite3.", "pyarrow", "sqlalchemy.exc", "Exception"):
        assert word not in said.rpartition("failed: ")[2].splitlines()[-1]
        assert word == "Exception" or "Traceback" not in said
    return said


def test_a_damaged_index_is_named_and_made_again_once_it_is_gone(published: Settings) -> None:
    index = published.raw_dir / INDEX_NAME
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    content = index.read_bytes()
    flipped = content[:4096] + bytes(byte ^ 0xFF for byte in content[4096:])
    for damaged in (_LONG, flipped, content[:5000]):
        for path in index.parent.glob(f"{INDEX_NAME}-*"):
            path.unlink()
        index.write_bytes(damaged)
        for _ in range(2):
            with pytest.raises(DamagedError, match=f"^{index} is damaged: .*Move it away"):
                run(published)
    _lose(index)
    run(published)
    assert len(open_index(local_lake(published.raw_dir)).deliveries(["search"])) == 1
    assert one(published, COUNT) == 20


def test_a_damaged_index_in_a_real_command(published: Settings) -> None:
    _lose(published.raw_dir / INDEX_NAME)
    (published.raw_dir / INDEX_NAME).write_bytes(_LONG)
    assert _fails(published, "status").startswith(f"Error: {published.raw_dir / INDEX_NAME} is damaged: ")


@pytest.mark.parametrize("cases", [slice(0, 4, 3), pytest.param(slice(4), marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_raw_file_that_is_not_ours_is_named_when_the_index_is_made_again(published: Settings, cases: slice) -> None:
    (raw,) = published.raw_dir.glob("*/*/*/*.parquet")
    whole = raw.read_bytes()
    strange = raw.with_name("strange.parquet")
    foreign = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), foreign)
    for wrong, content in (
        (strange, foreign.getvalue().to_pybytes()),
        (strange, _LONG),
        (raw, b""),
        (raw, whole[: len(whole) // 2]),
    )[cases]:
        wrong.write_bytes(content)
        _lose(published.raw_dir / INDEX_NAME)
        with pytest.raises(DamagedError, match=f"^{wrong} is not a file of the raw lake as landing wrote it"):
            run(published)
        assert f"Error: {wrong} is not a file of the raw lake" in _fails(published, "status")
        wrong.unlink()
    run(published)
    assert one(published, COUNT) == 20


def test_a_damaged_raw_file_in_a_run_of_dagster(published: Settings) -> None:
    (raw,) = published.raw_dir.glob("*/*/*/*.parquet")
    raw.write_bytes(_LONG)
    _lose(published.raw_dir / INDEX_NAME)
    assert f"{raw} is not a file of the raw lake" in _fails(published, *RUN)


def test_a_damaged_catalog_is_named(published: Settings) -> None:
    catalog = published.home / "warehouse/catalog.sqlite"
    for path in catalog.parent.glob("catalog.sqlite-*"):
        path.unlink()
    catalog.write_bytes(_LONG)
    assert _fails(published, "sql", COUNT) == (
        f"Error: {catalog} is damaged, or is not a database. Restore it from a backup\n"
    )


def test_damaged_records_of_dagster_are_named(settings: Settings) -> None:
    databases = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
    for name in databases:
        (settings.dagster_home / name).parent.mkdir(parents=True, exist_ok=True)
        (settings.dagster_home / name).write_bytes(_LONG)
    said = _fails(settings, *RUN)
    assert f"Error: Dagster's records of runs in {settings.dagster_home} are damaged" in said
    assert "Move that folder away" in said


def _fill_up(settings: Settings, kilobytes: int) -> None:
    """A first run on a disk of that size fails in a sentence; once there is room, the next has it all."""
    with mounted(settings.home, f"size={kilobytes}k"):
        said = _fails(settings, *RUN)
        assert "the disk is full: " in said, said
        assert "Make room there" in said
        remount(settings.home, "size=200m")
        audit(settings, *RUN)
        assert one(settings, COUNT) == 20
        assert audit(settings, "verify").returncode == 0


@pytest.fixture
def elsewhere(settings: Settings, tmp_path: Path) -> Settings:
    """A home with its deliveries beside it."""
    feeds = settings.model_copy(update={"feed_url": str(tmp_path / "feeds")})
    deliver(feeds, lines([event(f"e{number}") for number in range(20)]))
    return feeds


@needs_mounts
def test_a_full_disk_is_named(elsewhere: Settings) -> None:
    with mounted(elsewhere.home, "size=100k"):
        assert "Error: the disk is full: " in _fails(elsewhere, *RUN)


@needs_mounts
@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [300, 600, 900, 1200, 1500, 1800, 2100, 2400, 2600, 2800, 3000, 3200])
def test_a_full_disk_loses_nothing(elsewhere: Settings, kilobytes: int) -> None:
    _fill_up(elsewhere, kilobytes)


@needs_mounts
def test_a_read_only_home_is_named(published: Settings, tmp_path: Path) -> None:
    home = tmp_path / "mounted"
    settings = published.model_copy(update={"home": home})
    with mounted(home, "size=100m"):
        shutil.copytree(published.home, home, dirs_exist_ok=True)
        remount(home, "ro")
        assert "the file system is read-only" in _fails(settings, *RUN)
        for arguments in (("maintain",), ("status",)):
            assert "cannot be opened for writing" in _fails(settings, *arguments)


def _interrupted(
    settings: Settings, tmp_path: Path, *arguments: str, when: str = "threads", number: int = signal.SIGINT
) -> tuple[int, str, str]:
    """How a command ends that gets a Ctrl-C, or another signal, once it is at work."""
    process = subprocess.Popen(
        [AUDIT, *arguments],
        env=process_environment(settings),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if when == "threads":
        until(lambda: process.poll() is not None or psutil.Process(process.pid).num_threads() > 3)
        time.sleep(0.5)
    else:
        until(lambda: process.poll() is not None or (settings.home / when).exists())
    process.send_signal(number)
    said, complaint = process.communicate(timeout=60)
    return process.returncode, said, complaint


_STOPPED = "stopped. Nothing is half done: the next run publishes what this one did not.\n"
_ENDLESS = "select count(*) from range(100000000) as a (x), range(100000) as b (y) where hash(x + y) = 3"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_query_that_would_take_for_ever(published: Settings, tmp_path: Path, number: int) -> None:
    assert _interrupted(published, tmp_path, "sql", _ENDLESS, number=number) == (130, "", _STOPPED)
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("when", ["dagster", "raw", "warehouse.lock", "warehouse/catalog.sqlite"])
def test_ctrl_c_in_a_run_leaves_nothing_half_done(elsewhere: Settings, tmp_path: Path, when: str) -> None:
    code, _, complaint = _interrupted(elsewhere, tmp_path, *RUN, when=when)
    assert (code, complaint) == (130, _STOPPED)
    audit(elsewhere, *RUN)
    assert one(elsewhere, COUNT) == 20
    assert audit(elsewhere, "verify").returncode == 0


# Gets a signal as a function is called, whose caller may swallow what that raises, and is the command otherwise.
_STOPPED_IN = """
import os, pkgutil, signal, sys, time
where, number, how = sys.argv.pop(1), int(sys.argv.pop(1)), sys.argv.pop(1)
if how == "Ctrl-C is ignored":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
owner, _, name = where.rpartition(".")
owner = pkgutil.resolve_name(owner)
inner = getattr(owner, name)
def interrupted(*given, **named):
    setattr(owner, name, inner)
    try:
        os.kill(os.getpid(), number)
        time.sleep(0.1)
    except BaseException:
        if how != "swallowed":
            raise
    return inner(*given, **named)
setattr(owner, name, interrupted)
from activity_audit.cli import main
main()
"""


_LAST = "dagster._core.execution.context_creation_job.ExecutionContextManager.shutdown_context"
_FIRST = "dagster._core.execution.resources_init.single_resource_event_generator"
_IN_DBT = "dbt.graph.queue.GraphQueue.get"


@pytest.mark.parametrize(
    ("where", "number", "how"),
    [
        # A step that is tried again after an error.
        ("activity_audit.ingest.landing.open_index", signal.SIGINT, "raised"),
        # DuckDB's imports do so.
        ("activity_audit.transform.threads.fit", signal.SIGINT, "swallowed"),
        *(
            pytest.param(*given, marks=pytest.mark.slow)
            for given in (
                # Dagster hears of it, and all is published.
                (_LAST, signal.SIGINT, "raised"),
                (_LAST, signal.SIGTERM, "raised"),
                (_FIRST, signal.SIGINT, "raised"),
                (_IN_DBT, signal.SIGINT, "raised"),
                (_IN_DBT, signal.SIGTERM, "Ctrl-C is ignored"),
            )
        ),
    ],
)
def test_a_run_is_stopped_at_any_moment(elsewhere: Settings, where: str, number: signal.Signals, how: str) -> None:
    asked = [where, str(int(number)), how]
    done = warm_process.run(
        [sys.executable, "-c", _STOPPED_IN, *asked, *RUN],
        env=process_environment(elsewhere),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (130, _STOPPED)
    is_published = where == _LAST
    assert (elsewhere.home / "warehouse.json").exists() is is_published
    assert not is_published or one(elsewhere, COUNT) == 20


# Gets a Ctrl-C while one of dbt's threads has a query that would take for ever.
_STOPPED_IN_A_MODEL = f"""
import os, signal, threading
from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper
inner = DuckDBCursorWrapper.execute
def endless(self, sql, bindings=None):
    if len(sql) < 300 or threading.current_thread() is threading.main_thread():
        return inner(self, sql, bindings)
    DuckDBCursorWrapper.execute = inner
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    return inner(self, "{_ENDLESS}")
DuckDBCursorWrapper.execute = endless
from activity_audit.cli import main
main()
"""


@pytest.mark.slow
def test_ctrl_c_ends_a_model_that_would_take_for_ever(elsewhere: Settings) -> None:
    done = warm_process.run(
        [sys.executable, "-c", _STOPPED_IN_A_MODEL, *RUN],
        env=process_environment(elsewhere),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (130, _STOPPED)
    assert not (elsewhere.home / "warehouse.json").exists()


def test_a_run_that_loses_its_reader_publishes_and_ends_by_its_result(elsewhere: Settings) -> None:
    process = warm_process.Popen(
        [AUDIT, *RUN], env=process_environment(elsewhere), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stderr.close()
    assert process.wait(120) == 0
    assert one(elsewhere, COUNT) == 20


def test_output_that_cannot_be_written_is_no_success(published: Settings) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [AUDIT, "sql", "select range from range(300000)", "--output", "csv"],
            env=process_environment(published),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == ("Error: the command's output cannot be written: no space left on device\n")
