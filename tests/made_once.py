"""What the tests make once for all workers of a session, because it takes seconds: homes that they read or copy."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

# The folder of the session; not named as a setting is, which a test takes out of the environment.
FOLDER = "MADE_ONCE_FOR_THE_TESTS"


def leave_no_settings(patch: pytest.MonkeyPatch) -> None:
    """Take the settings of the developer's own environment out of it."""
    for name in list(os.environ):
        if name.startswith(("AUDIT_", "CXONE_", "DAGSTER_HOME")) and name != "AUDIT_CACHE":
            patch.delenv(name)


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """The folder of that name, which `make` has filled, without any settings of the environment.

    A worker that asks for it meanwhile waits.
    """
    folder = Path(os.environ[FOLDER]) / name
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = folder.with_name(f"{name}.made")
        if not mark.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                leave_no_settings(patch)
                make(folder)
            mark.touch()
    return folder
