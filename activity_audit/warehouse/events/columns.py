"""The report's nine columns: how the document names them, in its order, and where each comes from in the fact."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column of the report: its `title`, and the `field` of `fact_activity_event` that it shows."""

    title: str
    field: str


COLUMNS = (
    Column("Event Time (UTC)", "event_time_utc"),
    Column("Event ID", "event_id"),
    Column("Triggered By", "triggered_by"),
    Column("Entity", "entity"),
    Column("Instance", "instance"),
    Column("Activity", "activity"),
    Column("Outcome", "outcome"),
    Column("Application", "application"),
    Column("Comments", "comments"),
)
# Newest first; the id tells events of the same time apart, so that the order is one and only one.
NEWEST_FIRST = "event_time_utc desc, event_id"
