"""What follows a publication: the questions of readers are asked, and what they subscribed to is delivered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activity_audit.report.delivery import questions, rounds
from activity_audit.warehouse import lake

if TYPE_CHECKING:
    from activity_audit.settings.core import Settings


@dataclass(frozen=True)
class Followed:
    """How many periods were delivered, the sentences that a person should read, and whether something failed."""

    delivered: int
    warnings: list[str]
    has_failed: bool


def has_work(settings: Settings) -> bool:
    """Whether there is a question to ask, or something to deliver.

    Raises:
        FaultError: if the book of deliveries is damaged.
        WarehouseError: if the warehouse cannot be read.
    """
    if not settings.deliveries_file.exists():
        return False
    try:
        return rounds.is_due(settings) or questions.is_new(settings)
    except lake.NothingPublishedError:
        return False


def follow(settings: Settings, *, at_once: bool = False) -> Followed:
    """Ask, and deliver. Never fails: what goes wrong is in the book, in the result, and told as an alert."""
    warnings = questions.look(settings)
    done = rounds.deliver_due(settings, at_once=at_once)
    failed = [f"{one.name} was not delivered, and is tried again: {one.says}" for one in done.failed]
    return Followed(len(done.delivered), [*warnings, *done.warnings, *failed], bool(done.failed))
