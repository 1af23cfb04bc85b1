"""Subscriptions as people see them: when, where to, and how the newest periods went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from activity_audit.report.delivery.book import Book, Delivery, Subscription
from activity_audit.report.delivery.periods import EVERY, period_name
from activity_audit.report.delivery.send import Folder
from activity_audit.report.texts import count_text

if TYPE_CHECKING:
    from activity_audit.settings.core import Settings

_MOST_RUNS = 10


@dataclass(frozen=True)
class Shown:
    """A subscription, where it goes, and its periods, the newest first; `is_wrong` says that a person should look."""

    subscription: Subscription
    where: str
    runs: list[Delivery]

    @property
    def report(self) -> str:
        """The name of the saved report, as it was subscribed to."""
        return self.subscription.report_name

    @property
    def when(self) -> str:
        """When it is delivered, and as what."""
        return f"{EVERY[self.subscription.every]}, {self.subscription.format.upper()}"

    @property
    def is_wrong(self) -> bool:
        """Whether it stopped by itself, or its newest period failed."""
        return bool(self.subscription.stopped_why) or (
            bool(self.runs) and self.runs[0].state in ("failing", "given up")
        )

    @property
    def how(self) -> str:
        """How it goes, in a sentence."""
        one = self.subscription
        if one.stopped_at:
            return f"stopped {one.stopped_at[:16].replace('T', ' ')}" + (
                f": {one.stopped_why}" if one.stopped_why else ""
            )
        return self.run_text(self.runs[0]) if self.runs else "nothing was due yet"

    def run_text(self, run: Delivery) -> str:
        """How a period went."""
        named = period_name(self.subscription.every, run.period[0])
        match run.state:
            case "delivered":
                rows = "" if run.row_count is None else f", {count_text(run.row_count)} rows"
                return f"{named}: delivered {(run.done_at or '')[:16].replace('T', ' ')}{rows}"
            case "due":
                return f"{named}: is due"
            case "passed over":
                return f"{named} and later: passed over; {run.says}"
            case _:
                again = "given up" if run.state == "given up" else f"failed {run.tries} times, is tried again"
                return f"{named}: {again}: {run.says}"

    def as_dict(self) -> dict[str, Any]:
        """For scripts."""
        return vars(self.subscription) | {
            "where": self.where, "is_wrong": self.is_wrong, "runs": [vars(run) for run in self.runs]
        }  # fmt: skip


def subscriptions(settings: Settings) -> list[Shown]:
    """All of them, by their reports' names."""
    book = Book(settings)
    runs: dict[str, list[Delivery]] = {}
    for run in sorted(book.find(Delivery), key=lambda one: one.period_from, reverse=True):
        runs.setdefault(run.subscription_id, []).append(run)
    found = sorted(book.find(Subscription), key=lambda one: (one.report_name.casefold(), one.created_at))
    return [Shown(one, where(settings, one), runs.get(one.id, [])[:_MOST_RUNS]) for one in found]


def where(settings: Settings, subscription: Subscription) -> str:
    """To whom, or into which folder."""
    if subscription.to:
        return ", ".join(subscription.to)
    return Folder(settings.delivery.path or "AUDIT_DELIVERY_PATH", subscription.folder).shown()
