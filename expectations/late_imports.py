"""Modules that Great Expectations imports and the product's checks never use: they are loaded if they are used."""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

# A third of what it takes to import Great Expectations, for the one expectation that compares distributions.
UNUSED = ("scipy.stats",)


class _Late(ModuleType):
    """What stands for a module until something of it is used.

    Python's own LazyLoader loads at any look, and the standard library looks at every module for its file's name.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


def put_off(names: tuple[str, ...] = UNUSED) -> None:
    """Have these modules loaded when something of them is first used, and not when they are imported."""
    for name in names:
        spec = None if name in sys.modules else importlib.util.find_spec(name)
        if spec is None:
            continue
        late = _Late(name)
        late.__spec__, late.__file__ = spec, spec.origin
        if spec.submodule_search_locations is not None:
            late.__path__ = spec.submodule_search_locations
        sys.modules[name] = late
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(import_module(parent), child, late)
