"""A real command to which something happens at a named step: it is killed, gets a signal, or waits for the test."""

from __future__ import annotations

import itertools
import os
import pkgutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from activity_audit.settings.core import Settings
from tests import warm_process
from tests.integration.support import process_environment, until
from tests.warm_process import AUDIT

# Instead of a function: any function of the product, so that a call is counted wherever it is.
ANY_CALL = "*"
_PROGRAM = "from tests.torture.steps import _main; _main()"
_PATIENCE = 300
_ROOT = Path(__file__).parents[2]
_PRODUCT = tuple(f"{_ROOT}/{room}/" for room in ("activity_audit", "orchestration", "expectations"))


def start(
    settings: Settings, *command: str, step: str = "", does: str = "SIGKILL", call: int = 1, **environment: str
) -> subprocess.Popen:
    """Start `audit COMMAND` as the leader of its own session, with its output in pipes.

    Args:
        settings: The home, and its landing area.
        command: The words after `audit`.
        step: A function or method of the product or of a library, as `package.module.Class.name`, that it calls; or
            ANY_CALL.
        does: What happens just before that is called: the name of a signal that the process sends itself, or
            `wait:FOLDER`, for a test that goes on with `stopped`.
        call: At which call of it.
        environment: More settings.
    """
    program = [sys.executable, "-c", _PROGRAM, step, does, str(call)] if step else [AUDIT]
    return warm_process.Popen(
        [*program, *command],
        env=process_environment(settings, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def start_waiting(
    settings: Settings, folder: Path, step: str, *command: str, call: int = 1, **environment: str
) -> subprocess.Popen:
    """Start a command that waits at a step until there is a file `go` in the folder; it is there, or has ended."""
    folder.mkdir(parents=True, exist_ok=True)
    process = start(settings, *command, step=step, does=f"wait:{folder}", call=call, **environment)
    until(lambda: (folder / "arrived").exists() or process.poll() is not None, _PATIENCE)
    return process


@contextmanager
def stopped(
    settings: Settings, folder: Path, step: str, *command: str, call: int = 1, **environment: str
) -> Iterator[subprocess.Popen]:
    """A command that waits at a step; from the end of the block on it goes on.

    Fails if the command ends before it comes there.
    """
    process = start_waiting(settings, folder, step, *command, call=call, **environment)
    assert (folder / "arrived").exists(), process.communicate()
    try:
        yield process
    finally:
        (folder / "go").touch()


def ended(process: subprocess.Popen, code: int | None = 0) -> str:
    """Wait for a command, and return what it said on standard error; it has no traceback in it.

    Fails if its exit code is another than `code`, where one is given.
    """
    said, complaint = process.communicate(timeout=_PATIENCE)
    assert code is None or process.returncode == code, f"exit code {process.returncode}\n{said}\n{complaint}"
    assert "Traceback" not in complaint, complaint
    return complaint


def _at_step(step: str, does: str, at: int) -> None:
    """Have this process do something at a call of a function."""
    if step == ANY_CALL:
        _at_any_call(does, at)
        return
    owner_name, _, name = step.rpartition(".")
    owner = pkgutil.resolve_name(owner_name)
    inner = getattr(owner, name)
    is_static = isinstance(vars(owner).get(name), staticmethod)
    calls = 0

    def outer(*given: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            _happens(does)
        return inner(*given, **options)

    setattr(owner, name, staticmethod(outer) if is_static else outer)


def _at_any_call(does: str, at: int) -> None:
    """The same at the call of a function of the product, whichever it is, in any thread."""
    calls = itertools.count(1)

    def count(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_PRODUCT) and next(calls) == at:
            sys.setprofile(None)
            _happens(does)

    threading.setprofile(count)
    sys.setprofile(count)


def _happens(does: str) -> None:
    if does.startswith("wait:"):
        folder = Path(does.removeprefix("wait:"))
        (folder / "arrived").touch()
        until((folder / "go").exists, _PATIENCE)
    else:
        os.kill(os.getpid(), signal.Signals[does])
        # The handler of a signal runs between two steps of the interpreter.
        time.sleep(0.1)


def _main() -> None:
    """Be the command, but for the step."""
    step, does, at = sys.argv[1:4]
    del sys.argv[1:4]
    _at_step(step, does, int(at))
    from activity_audit.cli.main import main

    sys.argv[0] = AUDIT
    main()
