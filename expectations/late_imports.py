"""Modules that Great Expectations imports and the product's checks never use: they are loaded if they are used."""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module

# A third of what it takes to import Great Expectations, for the one expectation that compares distributions.
UNUSED = ("scipy.stats",)


def put_off(names: tuple[str, ...] = UNUSED) -> None:
    """Have these modules loaded when something of them is first used, and not when they are imported."""
    for name in names:
        if name in sys.modules:
            continue
        parent, _, child = name.rpartition(".")
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            continue
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        if parent:
            setattr(import_module(parent), child, module)
