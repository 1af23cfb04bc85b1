"""Delays the import of `scipy.stats`, which Great Expectations imports and our checks never use."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import scipy


class _Stats:
    """What stands for `scipy.stats` in `from scipy import stats`, until something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module("scipy.stats"), name)


def put_off() -> None:
    """Have `scipy.stats` loaded when something of it is first used, and not when Great Expectations is imported.

    It is a third of that import, 0.9 s of CPU in every run, for three expectations that no suite has. Great
    Expectations has no switch for it, and Python's own LazyLoader loads a module as soon as another imports it.
    """
    if "scipy.stats" not in sys.modules:
        scipy.stats = _Stats()
