"""What is kept ends, with all that it started, when who asked for it ends, is told to, or is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from activity_audit.base.process_tree import kept
from tests.integration.support import modules_that_tell, until

# A command that starts one process in its own session and leaves another to itself; the last one ignores SIGTERM.
_COMMAND = """
(setsid sh -c 'trap "" TERM; sleep 300 & wait; sleep 300' &)
sleep 300 &
echo $$ > started
sleep 300
"""
_ASKS = "import sys, time; from activity_audit.base.process_tree import kept; kept(['sh', 'command']); time.sleep(300)"


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has something kept, all of it under way."""
    (tmp_path / "command").write_text(_COMMAND)
    process = subprocess.Popen([sys.executable, "-c", _ASKS], cwd=tmp_path)
    while not (tmp_path / "started").exists() or len(_started(tmp_path)) < 7:
        assert process.poll() is None
        time.sleep(0.05)
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def _started(folder: Path) -> list[psutil.Process]:
    """The processes that work in the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what leaves the process group is not found")
def test_nothing_outlives_who_is_killed(asking: subprocess.Popen[bytes], tmp_path: Path) -> None:
    asking.send_signal(signal.SIGKILL)
    asking.wait()
    end = time.monotonic() + 60
    while left := _started(tmp_path):
        assert time.monotonic() < end, left
        time.sleep(0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no signal tells that a parent has ended")
def test_a_command_is_told_to_end_when_its_keeper_is_killed(tmp_path: Path) -> None:
    command = "trap 'echo told > told; exit' TERM; echo > started; while :; do sleep 0.1; done"
    keeper = [sys.executable, "-m", "activity_audit.base.process_tree", "sh", "-c", command]
    with subprocess.Popen(keeper, stdin=subprocess.PIPE, cwd=tmp_path) as process:
        until((tmp_path / "started").exists)
        process.kill()
    until(lambda: not _started(tmp_path))
    assert (tmp_path / "told").exists()


def test_what_ended_by_itself_says_how() -> None:
    keeper = [sys.executable, "-m", "activity_audit.base.process_tree", "sh", "-c"]
    for command, code in (("exit 3", 3), ("sleep 300 & exit 0", 0)):
        with subprocess.Popen([*keeper, command], stdin=subprocess.PIPE) as process:
            assert process.wait(60) == code


def test_no_module_is_taken_out_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    marked = modules_that_tell(tmp_path)
    with kept([sys.executable, "-m", "json.tool", "--help"]) as process:
        assert process.wait(60) == 0
    assert not marked.exists()
