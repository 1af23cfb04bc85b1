"""Starts a command and makes sure that all its processes end with the process that started it.

`kept` starts it; the process between them is `python -m activity_audit.base.process_tree COMMAND…`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

# How long the command may take to end what it started, and what is left of it then, in seconds.
_PATIENCE = 60.0
_LAST_PATIENCE = 3.0
_LOOK_EVERY = 0.1
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def kept(command: Sequence[str], output: int | None = None) -> subprocess.Popen[bytes]:
    """Start a command that ends, with all that it starts, when this process does: also when that is killed.

    No Python of it takes modules out of the working directory. A Ctrl-C does not reach it. SIGTERM to the process that
    is returned ends it as well; it is over when all of it is. Its exit code is the command's if that ended by itself,
    else 0. What it writes, on standard error too, goes to `output`, as Popen's `stdout`.
    """
    # The pipe is what tells: it is closed when this process is gone, whatever became of it.
    return subprocess.Popen(
        # What it starts, such as Dagster, starts further ones with `python -m`.
        [sys.executable, "-P", "-m", __name__, *command],
        env=os.environ | {"PYTHONSAFEPATH": "1"},
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        start_new_session=True,
    )


def keep(command: Sequence[str]) -> int:
    """Run a command until it ends, standard input does, or SIGTERM or SIGINT comes; then end all that is left of it.

    On Linux that is every process that descends from it; elsewhere those of its process group. If this process is
    killed itself, the command gets a SIGTERM, on Linux.
    """
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    _adopt_orphans()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=ending_with_parent()
    )
    threading.Thread(target=_wait_for_end_of_input, args=(over,), daemon=True).start()
    while not _has_ended(process) and not over.wait(_LOOK_EVERY):
        pass
    ended = process.poll()
    if ended is None:
        process.send_signal(signal.SIGTERM)
        _wait(process, _PATIENCE)
    _end_rest(process)
    return ended or 0


def ending_with_parent() -> Callable[[], None] | None:
    """As Popen's `preexec_fn`: what is started gets a SIGTERM when the thread that starts it ends; Linux only."""
    if sys.platform != "linux":
        return None
    # A child process of one that has threads must load nothing.
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        # It may have ended already, and then nobody sends the signal.
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _wait_for_end_of_input(over: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    over.set()


def _adopt_orphans() -> None:
    """What descends from this process becomes its child when its own parent ends; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the command has ended; adopted processes that have are buried."""
    while (dead := _dead_child()) and dead != process.pid:
        os.waitpid(dead, 0)
    return process.poll() is not None


def _dead_child() -> int | None:
    if sys.platform != "linux":
        return None
    with suppress(ChildProcessError):
        if found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return found.si_pid
    return None


def _wait(process: subprocess.Popen[bytes], patience: float) -> None:
    end = time.monotonic() + patience
    while not _has_ended(process) and time.monotonic() < end:
        time.sleep(_LOOK_EVERY)


def _end_rest(process: subprocess.Popen[bytes]) -> None:
    """Ask what is left to end, and end it."""
    end = time.monotonic() + _LAST_PATIENCE
    how = signal.SIGTERM
    while True:
        is_over = _has_ended(process)
        left = {*_children()}
        if is_over and not left and how == signal.SIGKILL:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, how)
        for child in left:
            with suppress(ProcessLookupError):
                os.kill(child, how)
        if not left or time.monotonic() > end:
            how = signal.SIGKILL
        time.sleep(_LOOK_EVERY)


def _children() -> list[int]:
    """The processes whose parent is this one, as far as the system says."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            # Behind the name, which may have anything in it: the state and the parent.
            parent = status.read_text(errors="replace").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append(int(status.parent.name))
    return found


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
