"""Helpers for commands that run a Dagster job in their own process, so that Dagster's UI shows the run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from activity_audit.base.faults import sentence
from activity_audit.settings.core import Settings

if TYPE_CHECKING:
    import dagster as dg

# What the run has to say, the command says.
CONSOLE: dict[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_PACKAGES = "activity_audit|orchestration|expectations"
_OWN = re.compile(rf"({_PACKAGES})\.")
_EXCEPTION_NAME = re.compile(rf"^(dagster|{_PACKAGES})[\w.]*: ")


def bury_dead_runs(settings: Settings) -> None:
    """A run that was killed after it published leaves nothing to do, and still must not pass for one under way."""
    from orchestration import instance as dagster_instance

    if settings.dagster_home.exists():
        with dagster_instance.instance(settings) as instance:
            dagster_instance.fail_dead_runs(instance)


def error_of(result: dg.ExecuteInProcessResult, settings: Settings) -> str:
    """What went wrong, as the user needs it: what the machine lacks or has damaged, or the message that we raised.

    Raises:
        KeyboardInterrupt: the run was stopped by Ctrl-C.
    """
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error:
                if error.cls_name == "DagsterExecutionInterruptedError":
                    raise KeyboardInterrupt
                if said := sentence(error.cls_name or "", error.message, settings.home):
                    return said
                # What one of ours has to say is made for people; what caused it may be of a library.
                if error.cause is None or _OWN.match(error.message):
                    return _EXCEPTION_NAME.sub("", error.message.strip())
                error = error.cause
    return "the run failed; see its events in Dagster"
