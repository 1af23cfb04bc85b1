"""What bringing a serving copy up to date did, and why it could not."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from activity_audit.serving.state import State


class ServingError(RuntimeError):
    """A serving copy could not be brought up to date, and is as it was; the message says why and what to do."""


@dataclass(frozen=True)
class How:
    """How a copy is to be brought up to date: with how many days of events, and whether all rows are written again.

    Without `days` it has as many as it had.
    """

    days: int | None = None
    whole: bool = False


AS_BEFORE = How()


@dataclass
class Published:
    """What was done to one copy: its state now, whether all of it was written, and the rows by table."""

    target: str
    state: State
    is_whole: bool = False
    added: dict[str, int] = field(default_factory=dict)
    removed: dict[str, int] = field(default_factory=dict)

    @property
    def is_unchanged(self) -> bool:
        """Whether the copy was of this state already."""
        return not (self.is_whole or self.added or self.removed)

    def as_dict(self) -> dict[str, Any]:
        """The same as data, as `--output json` has it."""
        return {
            "target": self.target,
            **asdict(self.state),
            "is_whole": self.is_whole,
            "added": self.added,
            "removed": self.removed,
        }
