"""A worker of a run: `python -m activity_audit.pipeline.worker`, started by `activity_audit.pipeline.workers`.

It gets the settings and then one step after another on standard input, and answers each on standard output, as
Python's pickle writes them: both ends are one program.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from activity_audit.transform import steps

STEPS: dict[str, Callable[..., Any]] = {steps.PARSE: steps.parse, steps.JUDGE: steps.judge}


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Do what is asked until nobody asks any more; an answer is the error that a step ended with, or None."""
    settings = pickle.load(asked)
    while True:
        try:
            step, arguments = pickle.load(asked)
        except EOFError:
            return
        answer = None
        try:
            STEPS[step](settings, *arguments)
        except Exception as error:
            answer = _sendable(error)
        pickle.dump(answer, answers)
        answers.flush()


def _sendable(error: Exception) -> Exception:
    """The error, or where it cannot be sent one that says the same."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    # What libraries print is no answer.
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        serve(sys.stdin.buffer, out)
