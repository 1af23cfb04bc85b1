"""The resource of every step: the home that it works on, and the observer of its progress."""

from collections.abc import Iterable

import dagster as dg

from activity_audit.base.progress import Progress, Silent
from activity_audit.settings.core import Settings


class Home(dg.ConfigurableResource):
    """One `AUDIT_HOME`: Dagster's pages show `folder` and `source`, and the steps work with `settings`."""

    folder: str
    source: str
    settings: dg.ResourceDependency[Settings]
    progress: dg.ResourceDependency[Progress]

    @classmethod
    def of(cls, settings: Settings, progress: Progress | None = None) -> "Home":
        """The home of these settings, with nobody watching unless `progress` does."""
        return cls(folder=str(settings.home), source=settings.source, settings=settings, progress=progress or Silent())

    def stage(self, log: dg.DagsterLogManager, name: str) -> None:
        """Say which stage of the pipeline begins."""
        log.info(name)
        self.progress.stage(name)

    def warn(self, log: dg.DagsterLogManager, warnings: Iterable[str]) -> None:
        """Say what an operator should look at, though the run goes on."""
        for warning in warnings:
            log.warning(warning)
            self.progress.warn(warning)
