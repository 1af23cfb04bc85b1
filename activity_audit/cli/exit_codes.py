"""How a command ends: its exit code, and one sentence instead of a traceback when something went wrong.

0: done; 1: a run, a check or a promise failed; 2: wrong usage or settings; 130: stopped.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Collection
from types import FrameType
from typing import IO, Any

import click

from activity_audit.base import json_log
from activity_audit.base.faults import FaultError, sentence_of
from activity_audit.cli.output import say, visible_lines
from activity_audit.settings.core import Settings
from activity_audit.warehouse import extensions

STOPPED = 130
# How long what was interrupted may take to end before it is interrupted again, in seconds.
_FIRST_PATIENCE = 0.2
_PATIENCE = 10.0
_STOPPED = "stopped. Nothing is half done: the next run publishes what this one did not."
_UNEXPECTED = (
    "This is a fault of the product; you did nothing wrong. Please report it with the lines above "
    "and the output of `audit --version`. Nothing is half done: the next run publishes what this "
    "one did not."
)


class _Ctrl:
    """Whether Ctrl-C was pressed, and that it is heard: a long query lets nobody know, and an import may swallow it.

    SIGTERM, by which a service or a container is stopped, is the same.

    During a run the handler is Dagster's or dbt's, so a thread hears of the signal from the interpreter.
    """

    def __init__(self) -> None:
        self.pressed = False
        self.over = threading.Event()
        self._is_raised = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.pressed = self._is_raised = True
        # A DuckDB is closed only when its threads have ended what they do, which they would to the end.
        extensions.interrupt()
        signal.default_int_handler(number, frame)

    def listen(self) -> None:
        """Handle SIGINT and SIGTERM from now on.

        Where Ctrl-C is ignored, as in the background of a script, it stays so.
        """
        numbers = set()
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) is usual:
                signal.signal(number, self)
                numbers.add(number)
        heard, told = os.pipe()
        os.set_blocking(told, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        threading.Thread(target=self._insist, args=(heard, numbers), name="ctrl-c", daemon=True).start()

    def _insist(self, heard: int, numbers: Collection[int]) -> None:
        while (number := os.read(heard, 1)[0]) not in numbers:
            pass
        handler = signal.getsignal(number)
        if not self._is_to_raise(handler):
            return
        self.pressed = True
        self.over.wait(_FIRST_PATIENCE)
        patience = 0.0 if handler is self and not self._is_raised else _PATIENCE
        while not self.over.wait(patience) and self._is_to_raise(signal.getsignal(number)):
            extensions.interrupt()
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            patience = _PATIENCE

    def _is_to_raise(self, handler: Any) -> bool:
        """Whether the handler ends by an exception what is under way, as Dagster's does; the report's server drains."""
        is_known = handler in (self, signal.default_int_handler)
        return is_known or getattr(handler, "__module__", "").startswith("dagster.")


_ctrl = _Ctrl()


def raise_if_stopped() -> None:
    """For what runs under the handlers of others, or calls what may swallow an exception, as DuckDB and Dagster do.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    if _ctrl.pressed:
        raise KeyboardInterrupt


def run(group: click.Group) -> int:
    """Run the command that the arguments name; its exit code."""
    _ctrl.listen()
    sys.stdout, sys.stderr = _unhindered(sys.stdout), _unhindered(sys.stderr)
    context: dict[str, Any] = {}
    try:
        code = _invoke(group, context)
        sys.stdout.flush()
        raise_if_stopped()
    except BaseException as error:
        _ctrl.over.set()
        code = _explain(error, context.get("settings"), stopped=_ctrl.pressed)
    _ctrl.over.set()
    return code


def _invoke(group: click.Group, context: dict[str, Any]) -> int:
    with group.make_context("audit", sys.argv[1:]) as opened:
        try:
            group.invoke(opened)
        except click.exceptions.Exit as ended:
            return ended.exit_code
        finally:
            context["settings"] = opened.obj
    return 0


def _explain(error: BaseException, settings: Settings | None, *, stopped: bool) -> int:
    if stopped or isinstance(error, KeyboardInterrupt | click.Abort):
        return _say(_STOPPED, STOPPED)
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.ClickException):
        if json_log.is_on():
            say(f"Error: {error.format_message()}", err=True)
        else:
            error.show()
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if said := sentence_of(error, settings.home if settings else "AUDIT_HOME"):
        return _say(f"Error: {visible_lines(said)}", 1)
    text = "".join(traceback.format_exception(error))
    say(*([f"Error: {text}"] if json_log.is_on() else text.splitlines()), err=True)
    return _say(_UNEXPECTED, 1)


def _say(text: str, code: int) -> int:
    say(*text.split("\n"), err=True)
    return code


class _Stream(io.FileIO):
    """A stream whose reader may go (`audit sql … | head`): the command goes on, and what it says then is lost."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                return len(data)
            reason = (error.strerror or str(error)).lower()
            raise FaultError(f"the command's output cannot be written: {reason}") from None


def _unhindered(stream: Any) -> IO[str]:
    """The same stream, without the errors that its encoding lacks a character and, where it is no terminal, that its
    reader has gone.
    """
    try:
        stream.reconfigure(errors="backslashreplace")
        if stream.isatty():
            return stream
        stream.fileno()
    except (AttributeError, OSError, ValueError):
        return stream
    raw = _Stream(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=False,
    )
