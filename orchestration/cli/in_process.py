"""What commands share that execute a Dagster job in their own process, so that its UI shows the run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orchestration.settings import Settings

if TYPE_CHECKING:
    import dagster as dg

# What the run has to say, the command says.
CONSOLE: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_EXCEPTION_NAME = re.compile(r"^(dagster|orchestration)[\w.]*: ")


def bury_dead_runs(settings: Settings) -> None:
    """A run that was killed after it published leaves nothing to do, and still must not pass for one under way."""
    from orchestration import dagster_instance

    if settings.dagster_home.exists():
        with dagster_instance.instance(settings) as instance:
            dagster_instance.fail_dead_runs(instance)


def error_of(result: dg.ExecuteInProcessResult) -> str:
    """What went wrong, as the user needs it: the message of the exception that we raised, not Dagster's of it."""
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error and error.cause is not None:
                error = error.cause
            if error:
                return _EXCEPTION_NAME.sub("", error.message.strip())
    return "the run failed; see its events in Dagster"
