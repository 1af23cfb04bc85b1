"""What goes with the report and is elsewhere: the runs, the data docs, the auditor's page."""

from __future__ import annotations

from dataclasses import dataclass

from activity_audit.report.access.permissions import QUARANTINE, RUNS, VIEW
from activity_audit.report.dagster_door import PATH as DAGSTER
from activity_audit.report.web.data_docs import PATH
from activity_audit.settings.core import Settings
from expectations.docs_site import REVIEW


@dataclass(frozen=True)
class Link:
    """A title, where it leads, and the permission that one needs there."""

    title: str
    url: str
    permission: str = VIEW


def links(settings: Settings, with_dagster: bool) -> list[Link]:
    """The links of a page, now; Dagster's is there where it is known, the auditor's page once it was written."""
    elsewhere = settings.report.dagster_url
    return [
        *([Link("Runs", elsewhere)] if elsewhere else [Link("Runs", f"{DAGSTER}/", RUNS)] if with_dagster else []),
        Link("Data docs", f"{PATH}/index.html", QUARANTINE),
        *([Link("Auditor's page", f"{PATH}/{REVIEW}", QUARANTINE)] if settings.review_file.exists() else []),
    ]
