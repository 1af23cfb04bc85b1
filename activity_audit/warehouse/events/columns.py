"""The report's nine columns: how the document names them, in its order, and where each comes from in the fact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column of the report: its `title`, the `field` of `fact_activity_event` that it shows, and what it means."""

    title: str
    field: str
    meaning: str


COLUMNS = (
    Column(
        "Event Time (UTC)",
        "event_time_utc",
        "When the event happened, in UTC. It is shown neither in your own time zone nor in that of the person.",
    ),
    Column("Event ID", "event_id", "The id that the application gave to the event. No other event has it."),
    Column(
        "Triggered By",
        "triggered_by",
        "Who or what caused the event: a person, or a part of the system that acts by itself.",
    ),
    Column("Entity", "entity", "The kind of item that the event happened to, such as User for a login."),
    Column("Instance", "instance", "The id of the very item, such as the internal id of the user who logged in."),
    Column("Activity", "activity", "What happened to the item, such as login or Interaction Viewed."),
    Column("Outcome", "outcome", "Whether it succeeded: SUCCESS or FAILURE."),
    Column("Application", "application", "The application in which it happened."),
    Column("Comments", "comments", "Notes that the application made about the event, if any."),
)
# Newest first; the id tells events of the same time apart, so that the order is one and only one.
NEWEST_FIRST = "event_time_utc desc, event_id"
