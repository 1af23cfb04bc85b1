"""The processes that do the parts of a run: they end with the run, and one that dies is replaced once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from activity_audit.base.hours import now_utc
from activity_audit.pipeline.workers import WorkerError, Workers
from activity_audit.settings.core import Settings
from activity_audit.transform import steps
from activity_audit.transform.exchange import Exchange, Plan
from tests.integration.support import AUDIT, deliver, event, lines, one, process_environment, until

# Begins a part that never ends.
BEGINS = """
import sys
from pathlib import Path
from activity_audit.base.hours import now_utc
from activity_audit.pipeline.workers import Workers
from activity_audit.settings.core import load_settings
from activity_audit.transform.exchange import Exchange

with Workers(load_settings(workers=2)) as workers:
    workers.do("parse", [0, 1], Exchange(Path(sys.argv[1])))
"""


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """An exchange at which every step waits for ever."""
    os.mkfifo(tmp_path / "plan.json")
    return tmp_path


@pytest.fixture
def begun(endless: Path, settings: Settings) -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """A process with two workers that are at their parts."""
    process = subprocess.Popen([sys.executable, "-c", BEGINS, endless], env=process_environment(settings))
    try:
        until(lambda: len(at_work(process.pid)) == 2)
        found = at_work(process.pid)
        yield process, found
    finally:
        process.kill()
        process.wait()
    for worker in found:
        with suppress(psutil.NoSuchProcess):
            worker.kill()


def at_work(parent: int) -> list[psutil.Process]:
    """The workers of a process that wait in the exchange."""

    def waits(one: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):
            # The name of what the system does for who opens a pipe that nobody writes into.
            is_at_it = "wait_for_partner" in Path(f"/proc/{one.pid}/wchan").read_text()
            return is_at_it and one.cmdline()[-1:] == ["activity_audit.pipeline.worker"]
        return False

    return [one for one in psutil.Process(parent).children() if waits(one)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_workers_end_with_the_process_that_they_work_for(
    begun: tuple[subprocess.Popen[bytes], list[psutil.Process]], number: signal.Signals
) -> None:
    process, found = begun
    process.send_signal(number)
    gone, alive = psutil.wait_procs(found, timeout=20)
    assert not alive
    assert len(gone) == 2
    process.wait(20)


def test_a_worker_that_dies_twice_is_told(endless: Path, settings: Settings) -> None:
    killed = []

    def kill() -> None:
        for _ in range(2):
            until(lambda: bool(at_work(os.getpid())))
            (one,) = at_work(os.getpid())
            one.kill()
            killed.append(one.pid)
            until(lambda: one not in at_work(os.getpid()))  # noqa: B023

    threading.Thread(target=kill).start()
    with (
        Workers(settings.model_copy(update={"workers": 1})) as workers,
        pytest.raises(WorkerError, match="parse part 7 of this run ended twice before it was done, by SIGKILL"),
    ):
        workers.do(steps.PARSE, [7], Exchange(endless))
    assert len(killed) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_run_that_is_stopped_ends_its_workers_and_the_next_one_publishes(
    settings: Settings, tmp_path: Path, number: signal.Signals
) -> None:
    for hour in range(4):
        deliver(settings, lines(event(f"{hour}-{n}") for n in range(2000)), hour=hour)
    (tmp_path / "patched").mkdir()
    (tmp_path / "patched/sitecustomize.py").write_text(
        "from activity_audit.transform import parts\nparts.FEWEST_RECORDS = 1\n"
    )
    given = process_environment(settings, AUDIT_WORKERS="2", PYTHONPATH=str(tmp_path / "patched"))
    process = subprocess.Popen([AUDIT, "run"], env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: len(workers_of(process.pid)) == 2)
    found = workers_of(process.pid)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines() == ["stopped. Nothing is half done: the next run publishes what this one did not."]
    assert not psutil.wait_procs(found, timeout=10)[1]
    done = subprocess.run([AUDIT, "run"], env=given, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert one(settings, "select count(*) from fact_activity_event") == 8000
    assert list(settings.work_dir.glob("*.exchange")) == []


def workers_of(parent: int) -> list[psutil.Process]:
    """The workers of a process."""
    with suppress(psutil.Error):
        found = psutil.Process(parent).children(recursive=True)
        return [one for one in found if one.cmdline()[-1:] == ["activity_audit.pipeline.worker"]]
    return []


def test_what_a_worker_says_at_its_end_is_told(
    settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONMALLOC", "no such allocator")
    with (
        Workers(settings) as workers,
        pytest.raises(WorkerError, match=r"ended twice before it was done, with exit code 1 \(Python runtime state"),
    ):
        workers.do(steps.PARSE, [7], Exchange(tmp_path))
    assert capfd.readouterr() == ("", "")


def test_a_worker_of_another_release_refuses(settings: Settings, tmp_path: Path) -> None:
    exchange = Exchange(tmp_path)
    exchange.begin(Plan(release="another", planned_at=now_utc(), future_tolerance=timedelta(0), parts=1))
    with (
        Workers(settings) as workers,
        pytest.raises(steps.OtherReleaseError, match="install the same on every machine"),
    ):
        workers.do(steps.PARSE, [0], exchange)
