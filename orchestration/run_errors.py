"""What went wrong in a run, in a sentence, from its events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import dagster as dg

from activity_audit.base.faults import sentence

_PACKAGES = "activity_audit|orchestration|expectations"
_OWN = re.compile(rf"({_PACKAGES})\.")
_EXCEPTION_NAME = re.compile(rf"^(dagster|{_PACKAGES})[\w.]*: ")


class RunStoppedError(RuntimeError):
    """Somebody stopped the run, by Ctrl-C or a signal."""


def error_of(events: Iterable[dg.DagsterEvent], home: Path) -> str:
    """What went wrong, as the user needs it: what the machine lacks or has damaged, or the message that we raised.

    Raises:
        RunStoppedError: nothing went wrong; the run was stopped.
    """
    for event in events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error:
                # The one is of Dagster's handler, the other of the handler while dbt runs.
                if error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt"):
                    raise RunStoppedError
                if said := sentence(error.cls_name or "", error.message, home):
                    return said
                # What one of ours has to say is made for people; what caused it may be of a library.
                if error.cause is None or _OWN.match(error.message):
                    return _EXCEPTION_NAME.sub("", error.message.strip())
                error = error.cause
    return "the run failed; see its events in Dagster"
