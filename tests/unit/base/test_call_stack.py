"""Room on the call stack."""

from __future__ import annotations

import sys

import pytest

from activity_audit.base.call_stack import with_room


def test_a_function_with_room_is_called_from_a_large_frame() -> None:
    def asked(number: int, *, name: str) -> tuple[int, str, int]:
        """What it says."""
        return number, name, sys._getframe(1).f_code.co_stacksize

    roomy = with_room(asked)
    number, name, slots = roomy(3, name="x")
    assert (number, name, slots >= 1 << 16) == (3, "x", True)
    assert (roomy.__name__, roomy.__doc__) == ("asked", "What it says.")


def test_what_it_raises_comes_through() -> None:
    def fails() -> None:
        raise KeyError("no")

    with pytest.raises(KeyError, match="no"):
        with_room(fails)()
