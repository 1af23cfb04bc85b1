"""A cache of answers for one snapshot; a snapshot never changes, so an answer stays valid.

Who asks what somebody else is being told waits for that answer, instead of having it found twice.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
# So many characters of long texts take the memory of a row.
_LIKE_A_ROW, _SHORT = 1000, 250


class Answers:
    """Those of one snapshot, the most recently asked for, of `most` rows together; any thread may use it.

    With 0 rows everything is asked again.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[Hashable, Any] = OrderedDict()
        self._pending: dict[Hashable, threading.Event] = {}
        self._rows = 0

    def answer(self, question: Hashable, ask: Callable[[], T], wait: Callable[[threading.Event], None]) -> T:
        """What `ask` says, or said before to the same question.

        `wait` waits for somebody else's answer; it raises when its reader does not want one any more.
        """
        if not self._most:
            return ask()
        while True:
            with self._lock:
                if question in self._known:
                    self._known.move_to_end(question)
                    return self._known[question]
                pending = self._pending.get(question)
                if pending is None:
                    mine = self._pending[question] = threading.Event()
                    break
            wait(pending)
        try:
            found = ask()
            self._remember(question, found)
            return found
        finally:
            with self._lock:
                del self._pending[question]
            # Who waits for an answer that was not found, because its reader has gone, asks for it then.
            mine.set()

    def _remember(self, question: Hashable, found: Any) -> None:
        if _rows(found) > self._most:
            # It would drive out all others, and itself.
            return
        with self._lock:
            self._known[question] = found
            self._rows += _rows(found)
            while self._rows > self._most:
                _, oldest = self._known.popitem(last=False)
                self._rows -= _rows(oldest)


def _rows(answer: Any) -> int:
    """An answer's own `weight`, or how many rows it has; a long text takes as much as several of them."""
    weight: int | None = getattr(answer, "weight", None)
    rows = getattr(answer, "rows", answer if isinstance(answer, list) else ())
    return weight or 1 + len(rows) + sum(_characters(row) for row in rows) // _LIKE_A_ROW


def _characters(row: Any) -> int:
    parts = row if isinstance(row, tuple) else vars(row).values() if hasattr(row, "__dict__") else ()
    return sum(len(part) for part in parts if type(part) is str and len(part) > _SHORT)
