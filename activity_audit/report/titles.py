"""How the pages and the files name fields, measures, and how much of some hours was looked at."""

from __future__ import annotations

from activity_audit.report import time_fields
from activity_audit.warehouse.coverage import Looked
from activity_audit.warehouse.events.columns import COLUMNS

TITLES = {column.field: column.title for column in COLUMNS} | time_fields.TITLES
MEASURES = {
    "count": "Events", "share": "Share of all", "failure": "Failures", "failure_rate": "Failure rate",
    "people": "People",
}  # fmt: skip
LOOKED: dict[Looked, str] = {"wholly": "looked at", "partly": "looked at in part", "not": "not looked at"}
