"""Room on Python's call stack for functions that make very many calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")

# Of 8 bytes each.
_SLOTS = 1 << 16


def with_room(function: Callable[P, R]) -> Callable[P, R]:
    """The function, called so that the frames of all that it calls fit into one piece of memory.

    Python keeps frames in pieces of 16 KB. A call that crosses the end of a piece maps a new one, and its return unmaps
    it: 30,000 to 85,000 times in the run of an hour, up to 0.4 s of CPU, as chance has it. A frame that is declared to
    be large gets a large piece, which the frames above it share.
    """

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    large = call.__code__.replace(co_stacksize=_SLOTS)
    roomy = FunctionType(large, call.__globals__, call.__name__, None, call.__closure__)
    return wraps(function)(cast("Callable[P, R]", roomy))
