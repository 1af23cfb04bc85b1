"""Dagster's three processes: `python -m orchestration.serving.processes FOLDER`, started by `audit serve`.

The code server runs the schedule, the sensor and the runs; the daemon tells it when; the pages show them. All of them
listen on Unix sockets in FOLDER, which only its owner can open: on a port of this machine every local user could have
the code server run what they like. It takes the place of `dagster dev`, which knows no such thing for the pages.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from activity_audit.base import json_log
from activity_audit.base.catalogue import SEEDS_DIR
from activity_audit.base.process_tree import ending_with_parent
from activity_audit.ingest.beginning import NOTE
from orchestration.instance import LOCATION

PAGES_SOCKET = "pages.sock"
_CODE_SOCKET = "code.sock"
_ROOT = Path(__file__).resolve().parents[2]
_LOOK_EVERY = 0.2
# A code server that ended is started again after so long, and all end together within so long, in seconds.
_PAUSE = 5.0
_PATIENCE = 20.0


def run(folder: Path) -> int:
    """Run them until one of them ends by itself, or SIGTERM or SIGINT comes; the exit code.

    A code server that ended is started again, with what it ran failed by the next tick: it may have taken too much
    memory, or have been told to end in Dagster's pages.
    """
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    # Dagster makes sockets of its own among temporary files.
    os.environ["TMPDIR"] = str(folder)
    workspace = folder / "workspace.yaml"
    at = {"host": "localhost", "socket": str(folder / _CODE_SOCKET), "location_name": LOCATION}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": at}]}), encoding="utf-8")
    known = _what_code_is_of()
    code = _start_code_server(folder)
    others: dict[str, subprocess.Popen[bytes]] = {}
    try:
        while not over.is_set():
            if (ended := code.poll()) is not None:
                _say(f"Dagster's code server ended with exit code {ended}; it is started again")
                over.wait(_PAUSE)
                known = _what_code_is_of()
                code = _start_code_server(folder)
            elif not others and listens(folder / _CODE_SOCKET):
                others = {"web server": _start_web_server(folder, workspace), "daemon": _start_daemon(workspace)}
            elif others and (now := _what_code_is_of()) != known:
                known = now
                # It would ask the new code with what it knew of the old one.
                _end([others["daemon"]])
                _load_again(folder, over)
                others["daemon"] = _start_daemon(workspace)
            for name, process in others.items():
                if (ended := process.poll()) is not None:
                    _say(f"Dagster's {name} ended with exit code {ended}")
                    return 1
            over.wait(_LOOK_EVERY)
        return 0
    finally:
        _end([*others.values(), code])
        # Where who started this process was killed, nobody else removes it.
        shutil.rmtree(folder, ignore_errors=True)


def _start_code_server(folder: Path) -> subprocess.Popen[bytes]:
    at = folder / _CODE_SOCKET
    at.unlink(missing_ok=True)
    return _start([
        _program("dagster"), "code-server", "start", "--module-name", "orchestration.definitions",
        "--working-directory", str(_ROOT), "--location-name", LOCATION, "--socket", str(at), "--log-level", "warning",
        *_log_format(),
    ])  # fmt: skip


def _start_web_server(folder: Path, workspace: Path) -> subprocess.Popen[bytes]:
    return _start(
        [sys.executable, "-P", "-m", "orchestration.serving.pages", str(workspace), str(folder / PAGES_SOCKET)]
    )


def _start_daemon(workspace: Path) -> subprocess.Popen[bytes]:
    return _start([_program("dagster-daemon"), "run", "--workspace", str(workspace), *_log_format()])


def _log_format() -> list[str]:
    return ["--log-format", "json"] if json_log.is_on() else []


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start one of them, which ends also when this process is killed."""
    return subprocess.Popen(command, preexec_fn=ending_with_parent())


def _what_code_is_of() -> list[object]:
    """What the code server reads once, as it stands: the first feed hour, and the seeds."""
    found: list[object] = []
    for path in (Path(os.environ["DAGSTER_HOME"]) / NOTE, *sorted(SEEDS_DIR.glob("*.csv"))):
        with suppress(OSError):
            state = path.stat()
            found.append((path, state.st_mtime_ns, state.st_size, state.st_ino))
    return found


def _load_again(folder: Path, over: threading.Event) -> None:
    """Have the code server load its code again. Runs that are under way go on, with the code that they began with."""
    again = _start([sys.executable, "-P", "-m", "orchestration.serving.reload", str(folder / _CODE_SOCKET)])
    while again.poll() is None and not over.is_set():
        over.wait(_LOOK_EVERY)
    _end([again])


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def listens(at: Path) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as looking:
        return looking.connect_ex(str(at)) == 0


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask them to end, and end what does not."""
    for process in processes:
        process.terminate()
    end = time.monotonic() + _PATIENCE
    while any(process.poll() is None for process in processes) and time.monotonic() < end:
        time.sleep(_LOOK_EVERY)
    # What they started themselves is ended by who started this process.
    for process in processes:
        process.kill()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
