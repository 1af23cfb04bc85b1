"""Reports the progress of a run to its caller: the command line draws a bar, Dagster shows events."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """A watcher of a run."""

    def landing(self, done: int, total: int) -> None:
        """Called as deliveries are landed."""
        ...

    def stage(self, name: str) -> None:
        """Called as the run enters a stage: staging, checking, publishing."""
        ...

    def warn(self, text: str) -> None:
        """Called with what an operator should look at, though the run goes on."""
        ...


class Silent:
    """Nobody watches."""

    def landing(self, done: int, total: int) -> None:
        """See Progress."""

    def stage(self, name: str) -> None:
        """See Progress."""

    def warn(self, text: str) -> None:
        """See Progress."""
