"""The progress of `audit run` and `audit replay`: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from types import TracebackType

from activity_audit.base.hours import HOUR

_STAGES = {"staging": 1, "checking": 2, "publishing": 3}


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
        if self._bar:
            self._bar.update(self._task, completed=done, total=total, stage=f"landing {done}/{total}")

    def stage(self, name: str) -> None:
        """See activity_audit.base.progress.Progress."""
        if self._bar:
            done = _STAGES.get(name, 0)
            self._bar.update(self._task, completed=done, total=len(_STAGES) + 1, stage=name)

    def warn(self, text: str) -> None:
        """See activity_audit.base.progress.Progress."""
        self.warnings.append(text)
