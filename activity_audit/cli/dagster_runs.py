"""Helpers for commands that run a Dagster job in their own process: progress on a terminal, and errors in words."""

from __future__ import annotations

import os
import signal
import sys
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from activity_audit.base import json_log
from activity_audit.base.hours import HOUR
from activity_audit.cli.exit_codes import raise_if_stopped
from activity_audit.settings.core import Settings

if TYPE_CHECKING:
    import dagster as dg

_STAGES = {"staging": 1, "checking": 2, "publishing": 3}


def bury_dead_runs(settings: Settings) -> None:
    """A run that was killed after it published leaves nothing to do, and still must not pass for one under way."""
    from orchestration import instance as dagster_instance

    if settings.dagster_home.exists():
        with dagster_instance.instance(settings) as instance:
            dagster_instance.fail_dead_runs(instance)


def execute(
    job: dg.JobDefinition, instance: dg.DagsterInstance, run_config: dict[str, Any] | None = None, **options: Any
) -> dg.ExecuteInProcessResult:
    """Run a job in this process.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed meanwhile. Dagster forgets one that it hears of after the last step.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        result = job.execute_in_process(
            instance=instance, raise_on_error=False, run_config=console() | (run_config or {}), **options
        )
    finally:
        # Dagster leaves it with what SIGINT has: ignored, in the background of a script.
        signal.signal(signal.SIGTERM, before)
    raise_if_stopped()
    return result


def console() -> dict[str, Any]:
    """What of a run's log goes to standard error: in text nothing, because what it has to say, the command says."""
    level = "INFO" if json_log.is_on() else "CRITICAL"
    return {"loggers": {"console": {"config": {"log_level": level}}}}


def error_of(result: dg.ExecuteInProcessResult, settings: Settings) -> str:
    """What went wrong, as the user needs it: what the machine lacks or has damaged, or the message that we raised.

    Raises:
        KeyboardInterrupt: the run was stopped by Ctrl-C.
    """
    from orchestration.run_errors import RunStoppedError
    from orchestration.run_errors import error_of as said_of

    try:
        return said_of(result.all_events, settings.home)
    except RunStoppedError:
        raise KeyboardInterrupt from None


class ProgressBar:
    """A watcher of the runs of one command (see activity_audit.base.progress)."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._begun = 0
        self._bar = None
        self.warnings: list[str] = []
        if sys.stdout.isatty():
            self._terminal = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding)
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[stage]}"),
                TimeElapsedColumn(),
                # Dagster captures what a run writes to the output; the bar is not part of that.
                console=Console(file=self._terminal),
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._task = self._bar.add_task("starting", total=None, stage="")

    def __enter__(self) -> ProgressBar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, error: type[BaseException] | None, value: BaseException | None, _: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
            self._terminal.close()

    def begin(self, start: datetime, end: datetime) -> None:
        """A run over the feed hours in [start, end) begins."""
        self._begun += 1
        if self._bar:
            hours = int((end - start) / HOUR)
            text = f"run {self._begun}/{self._runs}: {start:%Y-%m-%dT%H:00Z}, {hours} h"
            self._bar.update(self._task, description=text, stage="landing", completed=0, total=None)

    def begin_replay(self) -> None:
        """A replay begins, which lands nothing."""
        if self._bar:
            self._bar.update(self._task, description="replay", completed=0, total=len(_STAGES) + 1)

    def landing(self, done: int, total: int) -> None:
        """See activity_audit.base.progress.Progress."""
        raise_if_stopped()
        if self._bar:
            self._bar.update(self._task, completed=done, total=total, stage=f"landing {done}/{total}")

    def stage(self, name: str) -> None:
        """See activity_audit.base.progress.Progress."""
        # The last of them is before anything is published.
        raise_if_stopped()
        if self._bar:
            done = _STAGES.get(name, 0)
            self._bar.update(self._task, completed=done, total=len(_STAGES) + 1, stage=name)

    def warn(self, text: str) -> None:
        """See activity_audit.base.progress.Progress."""
        self.warnings.append(text)
