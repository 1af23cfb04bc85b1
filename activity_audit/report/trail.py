"""The report's own audit trail: who read, exported and changed what. It is the feed `activity_audit`.

An action is on record before its answer is sent. Where it cannot be recorded, it does not take place.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from activity_audit.base.catalogue import OWN_FEED
from activity_audit.base.hours import iso, now_utc
from activity_audit.base.vocabulary import FAILURE, SUCCESS
from activity_audit.ingest.sources.journal import Journal
from activity_audit.report.access.permissions import User
from activity_audit.warehouse.events.filters import CHOICES, SELDOM, Filters, matched_texts
from activity_audit.warehouse.events.long_texts import whole_text
from activity_audit.warehouse.events.masked import SAID

APPLICATION = "Activity Audit"
REPORT, EVENT, EXPORT, QUARANTINE, SAVED, USER = "Report", "Event", "Export", "Quarantine", "Saved Report", "User"
DAGSTER, DELIVERY, QUESTION = "Dagster", "Delivery", "Question"
# The same pairs are in dbt_project/seeds/own_activity.csv, by which the warehouse knows them.
ACTIVITIES = {
    REPORT: ("Run",),
    EVENT: ("Viewed",),
    EXPORT: ("Created", "Downloaded", "Stopped"),
    QUARANTINE: ("Viewed",),
    SAVED: ("Saved", "Edited", "Shared", "Unshared", "Deleted", "Restored"),
    USER: ("Login", "Logout"),
    DAGSTER: ("Viewed", "Changed"),
    DELIVERY: ("Subscribed", "Sent", "Stopped", "Started", "Removed"),
    QUESTION: ("Asked", "Stopped", "Started", "Removed"),
}
_LONGEST_COMMENT = 4000


class TrailError(RuntimeError):
    """What somebody wants to do cannot be put on record, so it must not be done."""


class Trail:
    """Writes the trail to `folder`, from which runs take it."""

    def __init__(self, folder: Path, clock: Callable[[], datetime] = now_utc) -> None:
        self._journal = Journal(folder, OWN_FEED)
        self._clock = clock

    def ran(self, user: User, text: str, *, ok: bool = True) -> None:
        """The report was run, or failed; `text` is what was `said`."""
        self.record(user.name, REPORT, "Run", OWN_FEED, _as_seen(user, text), ok=ok)

    def viewed_event(self, user: User, event_id: str) -> None:
        """One event was opened."""
        self.record(user.name, EVENT, "Viewed", event_id, _as_seen(user))

    def viewed_quarantine(self, user: User) -> None:
        """Records in quarantine were looked at."""
        self.record(user.name, QUARANTINE, "Viewed", "")

    def exported(self, user: User, job: str, filters: Filters, how: str, *, ok: bool = True) -> None:
        """An export was made, or failed; `how` says the format, the snapshot and the rows."""
        self.record(user.name, EXPORT, "Created", job, _as_seen(user, said(filters, how)), ok=ok)

    def changed_export(self, user: User, job: str, activity: str) -> None:
        """A file was downloaded, or its export stopped."""
        self.record(user.name, EXPORT, activity, job, _as_seen(user))

    def changed_saved(self, user: User, activity: str, saved_id: str, name: str) -> None:
        """A named report was saved, edited, shared, unshared, deleted or restored."""
        self.record(user.name, SAVED, activity, saved_id, name)

    def delivered(
        self, user: User, subscription: str, name: str, filters: Filters, how: str, *, ok: bool = True
    ) -> None:
        """A file of the user's subscription is on its way, or did not arrive; `how` says which file, and to whom."""
        text = f"{name}: {said(filters, how)}"
        self.record(user.name, DELIVERY, "Sent", subscription, _as_seen(user, text), ok=ok)

    def changed_standing(self, user: User, entity: str, activity: str, standing_id: str, text: str) -> None:
        """A subscription or a question was set up, stopped, started again or removed; `text` says what it is."""
        self.record(user.name, entity, activity, standing_id, text)

    def signed_in(self, name: str, *, ok: bool) -> None:
        """Somebody signed in, or tried to."""
        self.record(name, USER, "Login", name, ok=ok)

    def signed_out(self, user: User) -> None:
        """Somebody ended their session."""
        self.record(user.name, USER, "Logout", user.name)

    def viewed_dagster(self, user: User) -> None:
        """Dagster's pages were looked at."""
        self.record(user.name, DAGSTER, "Viewed", "")

    def changed_dagster(self, user: User, text: str) -> None:
        """Dagster is asked to change something, such as to launch a run; `text` says what."""
        self.record(user.name, DAGSTER, "Changed", "", text)

    def record(
        self, name: str, entity: str, activity: str, instance: str, comments: str = "", *, ok: bool = True
    ) -> None:
        """Put one event on record, now.

        Raises:
            TrailError: if it cannot be written.
        """
        if activity not in ACTIVITIES[entity]:
            raise ValueError(f"the trail has no {entity} {activity}")
        now = self._clock()
        record = {
            "application": APPLICATION,
            "entity": entity,
            "activity": activity,
            "eventTime": iso(now),
            "eventId": str(uuid4()),
            "triggeredBy": name,
            "instance": instance,
            "outcome": SUCCESS if ok else FAILURE,
            "comments": comments if len(comments) <= _LONGEST_COMMENT else f"{comments[:_LONGEST_COMMENT]}… [cut]",
        }
        try:
            self._journal.append(record, now)
        except OSError as error:
            raise TrailError(f"the request cannot be recorded: {error.strerror or error}") from error


def _as_seen(user: User, text: str = "") -> str:
    """What is on record of a reading, and whether the reader had fields masked. That comes first, and is never cut."""
    return "; ".join(part for part in (SAID if user.is_masked else "", text) if part)


def said(filters: Filters, how: str = "") -> str:
    """The filters in one line; `how` is what else was asked, such as the groups."""
    parts = [f"{iso(filters.start)} to {iso(filters.end)}"]
    for name in (*CHOICES.values(), *SELDOM):
        if chosen := getattr(filters, name):
            parts.append(f"{name}: {', '.join(map(whole_text, chosen))}")
    if filters.comments:
        parts.append(f"comments contain: {filters.comments}")
    parts += [f"{name}: {text}" for name, text in matched_texts(filters)]
    parts += [f"not {field}: {whole_text(value)}" for field, value in filters.excluded]
    return "; ".join([*parts, *([how] if how else [])])
