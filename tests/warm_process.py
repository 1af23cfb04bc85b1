"""Real processes that have already imported what a cold one would import first.

A process that has imported it waits, and forks for each command. The caller adopts what it forks: process id, exit
code, signals, streams, environment and working directory are those of a command of its own. What an interpreter reads
when it starts (`PYTHON…`, the locale) is not, so a command for which these differ starts cold, by itself.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import inspect
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

AUDIT = str(Path(sys.executable).with_name("audit"))
# What costs most to import and starts no thread. All else a command imports when it runs, as ever.
_MODULES = (
    "dagster",
    "dagster_dbt",
    "dbt.cli.main",
    "dbt.adapters.duckdb.impl",
    "pyarrow.parquet",
    "sqlglot",
    "uvicorn",
    "activity_audit.cli.run",
    "activity_audit.pipeline.replay",
    "activity_audit.report.web.app",
    "expectations.gx_session",
    "orchestration.definitions",
)
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "OMP_", "OPENBLAS_")
_PATIENCE = 300
_PR_SET_CHILD_SUBREAPER = 36


class Popen(subprocess.Popen):
    """`subprocess.Popen` for `[AUDIT, …]` and `[sys.executable, "-c", program, …]`; anything else starts cold."""

    def _execute_child(self, *given: Any) -> None:
        asked = inspect.signature(super()._execute_child).bind(*given).arguments  # type: ignore[misc]
        arguments = [os.fspath(argument) for argument in asked["args"]]
        environment = dict(os.environ if asked["env"] is None else asked["env"])
        if not _can_be_warm(arguments, environment, asked):
            super()._execute_child(*given)  # type: ignore[misc]
            return
        request = {
            "arguments": arguments,
            "environment": environment,
            "folder": os.fspath(asked["cwd"] or Path.cwd()),
            "session": asked["start_new_session"],
            "umask": _umask() if asked["umask"] < 0 else asked["umask"],
            "parent": os.getpid(),
        }
        pipes = [asked[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        streams = [own if pipe == -1 else pipe for own, pipe in enumerate((pipes[0], pipes[3], pipes[5]))]
        self.pid = _zygote().fork(request, streams)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def run(
    arguments: list[str], *, check: bool = False, timeout: float = 300, capture_output: bool = False, **options: Any
) -> subprocess.CompletedProcess:
    """`subprocess.run` of a warm process."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(arguments, **options) as process:
        try:
            said, complaint = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(arguments, process.returncode, said, complaint)
    if check:
        done.check_returncode()
    return done


def _can_be_warm(arguments: list[str], environment: dict[str, str], asked: dict[str, Any]) -> bool:
    is_known = arguments[0] == AUDIT or arguments[:2] == [sys.executable, "-c"]
    plain = not any(asked[name] for name in ("preexec_fn", "pass_fds", "shell")) and asked["uid"] is None
    return sys.platform == "linux" and is_known and plain and _at_start(environment) == _at_start(os.environ)


def _at_start(environment: Any) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class _Zygote:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm_process", str(theirs.fileno())],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            cwd=Path(__file__).parents[1],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._control.settimeout(_PATIENCE)
        atexit.register(self._stop)

    def fork(self, request: dict[str, Any], streams: list[int]) -> int:
        """The process id of a new child of this process."""
        adopts = ctypes.CDLL(None).prctl
        with self._lock:
            adopts(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(self._control, [json.dumps(request).encode()], streams)
                return int(self._control.recv(20))
            finally:
                adopts(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def _stop(self) -> None:
        self._control.close()
        self._process.wait()


@cache
def _zygote() -> _Zygote:
    """This process's; it imports while its first command is asked for."""
    return _Zygote()


def _warm_up() -> None:
    """Import what a command would, and have dbt and Dagster work out what they keep for a second use."""
    gc.disable()
    for module in _MODULES:
        importlib.import_module(module)
    from activity_audit.dbt_runner import project
    from activity_audit.settings.core import load_settings
    from orchestration import instance

    with tempfile.TemporaryDirectory() as folder:
        with instance.instance(load_settings(home=Path(folder))):
            pass
        project.manifest()
        project.invoke("list", "--quiet", target=Path(folder), parsed=project.parsed())
    # DuckDB's own, which the import opens, has a thread that no fork would have.
    duckdb.default_connection().close()
    gc.collect()
    gc.freeze()
    gc.enable()


def _serve(control: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each request. Returns in what was forked, with the request and its streams."""
    while True:
        message, streams, *_ = socket.recv_fds(control, 1 << 20, 3)
        if not message:
            sys.exit()
        if not (between := os.fork()):
            if not os.fork():
                return json.loads(message), streams
            # Nobody waits for the child then, and the process that asked for it adopts it.
            os._exit(0)
        os.waitpid(between, 0)
        for stream in streams:
            os.close(stream)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Take over all that a new process has from the one that starts it."""
    while os.getppid() != request["parent"]:
        time.sleep(0.001)
    if request["session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for own, stream in enumerate(streams):
        os.dup2(stream, own)
        os.close(stream)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.umask(request["umask"])
    os.chdir(request["folder"])
    time.tzset()
    sys.stdin, sys.stdout, sys.stderr = (_stream(number) for number in range(3))
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]


def _stream(number: int) -> io.TextIOWrapper:
    """A standard stream as the interpreter makes it."""
    given = (sys.stdin, sys.stdout, sys.stderr)[number]
    raw = io.FileIO(number, "rw"[number > 0], closefd=False)
    raw.name = given.name
    buffered: Any = io.BufferedWriter(raw) if number else io.BufferedReader(raw)
    is_line_buffered = number == 2 or raw.isatty()
    return io.TextIOWrapper(buffered, given.encoding, given.errors, line_buffering=is_line_buffered)


def _main(arguments: list[str]) -> None:
    """What the interpreter does with these arguments."""
    if arguments[0] == AUDIT:
        sys.argv, sys.path[0] = arguments, str(Path(AUDIT).parent)
        runpy.run_path(AUDIT, run_name="__main__")
    else:
        sys.argv, sys.path[0] = ["-c", *arguments[3:]], ""
        sys.modules["__main__"] = main = types.ModuleType("__main__")
        exec(compile(arguments[2], "<string>", "exec"), vars(main))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _warm_up()
    caller = socket.socket(fileno=int(sys.argv[1]))
    asked, given = _serve(caller)
    _become(asked, given)
    caller.send(str(os.getpid()).encode())
    caller.close()
    _main(asked["arguments"])
