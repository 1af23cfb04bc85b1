"""What goes with the report and is elsewhere: the runs, the data docs, the auditor's page."""

from __future__ import annotations

from dataclasses import dataclass

from expectations.docs_site import REVIEW
from orchestration.settings import Settings
from report.web.data_docs import PATH


@dataclass(frozen=True)
class Link:
    """A title and where it leads."""

    title: str
    url: str


def links(settings: Settings, dagster_url: str | None) -> list[Link]:
    """The links of a page, now; Dagster's is there where its URL is known, the auditor's page once it was written."""
    dagster = dagster_url or settings.report.dagster_url
    return [
        *([Link("Runs", dagster)] if dagster else []),
        Link("Data docs", f"{PATH}/index.html"),
        *([Link("Auditor's page", f"{PATH}/{REVIEW}")] if settings.review_file.exists() else []),
    ]
