"""Processes of this machine that do the parts of a run, so many at a time."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Any

from activity_audit.base.process_tree import ending_with_parent
from activity_audit.settings.core import Settings

# How long a worker may take to end when it is told to, in seconds.
_PATIENCE = 5.0


class WorkerError(RuntimeError):
    """A part of a run cannot be done, because its worker dies; the message names both."""


class Workers:
    """The workers of one run. They are started when there is something to do, and end with the block, at once.

    If this process is killed, the system ends them, on Linux.
    """

    def __init__(self, settings: Settings) -> None:
        self._number = settings.workers
        self._settings = settings.model_copy(update={"memory_limit": settings.worker_memory})
        self._pool = ThreadPoolExecutor(self._number, thread_name_prefix="worker")
        self._own = threading.local()
        self._living: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._over = False

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with self._lock:
            self._over = True
            living = list(self._living)
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in living:
            # One that has nothing to do ends by itself.
            if error or process.stdin is None:
                process.terminate()
            else:
                process.stdin.close()
        for process in living:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
            process.kill()
            process.wait()
        self._pool.shutdown()

    def do(self, step: str, parts: Sequence[int], *arguments: Any) -> None:
        """Do a step for each of these parts; what it gets before the part's number and behind it are `arguments`.

        A part whose worker dies is done once more, by another worker.

        Raises:
            WorkerError: a worker died at the same part again.
            Exception: what a step ended with; those under way go on until the block ends.
        """
        exchange, *others = arguments
        doing = [self._pool.submit(self._do, step, part, (exchange, part, *others)) for part in parts]
        for done in as_completed(doing):
            if error := done.exception():
                for one in doing:
                    one.cancel()
                raise error

    def _do(self, step: str, part: int, arguments: tuple[Any, ...]) -> None:
        if (ended := self._ask(step, arguments)) is not None and (ended := self._ask(step, arguments)) is not None:
            raise WorkerError(
                f"the worker that had to {step} part {part} of this run ended twice before it was done, {ended}. "
                "Nothing was published. If the system ends processes for want of memory, lower AUDIT_MEMORY_LIMIT or "
                "AUDIT_WORKERS"
            )

    def _ask(self, step: str, arguments: tuple[Any, ...]) -> str | None:
        """Have this thread's worker do a step; how the worker ended, if it did.

        Raises:
            Exception: what the step ended with.
        """
        process = self._process()
        try:
            answer = _answer(process, step, arguments)
        except (EOFError, OSError, pickle.UnpicklingError):
            self._own.process = None
            with self._lock:
                self._living.discard(process)
            process.kill()
            return _how(process.wait(), self._own.said)
        if answer is not None:
            raise answer
        return None

    def _process(self) -> subprocess.Popen[bytes]:
        """The worker of this thread, which lives as long as the workers do: a child ends with the thread."""
        if getattr(self._own, "process", None) is None:
            with self._lock:
                if self._over:
                    raise WorkerError("the run is over")
                self._own.said = TemporaryFile()  # noqa: SIM115
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "activity_audit.pipeline.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._own.said,
                    # A Ctrl-C is for the run, which ends its workers.
                    start_new_session=True,
                    preexec_fn=ending_with_parent(),
                )
                self._living.add(process)
            self._own.process = process
            with suppress(BrokenPipeError):
                _send(process, self._settings)
        return self._own.process


def _answer(process: subprocess.Popen[bytes], step: str, arguments: tuple[Any, ...]) -> Exception | None:
    _send(process, (step, arguments))
    assert process.stdout is not None
    return pickle.load(process.stdout)


def _send(process: subprocess.Popen[bytes], content: Any) -> None:
    assert process.stdin is not None
    pickle.dump(content, process.stdin)
    process.stdin.flush()


def _how(code: int, said: IO[bytes]) -> str:
    """How a worker ended, with the last line that it wrote."""
    said.seek(0)
    lines = said.read().decode(errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
    return f"{how} ({last})" if last else how
