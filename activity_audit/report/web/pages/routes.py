"""Which URL leads to which page."""

from __future__ import annotations

from starlette.routing import BaseRoute, Mount, Route

from activity_audit.report.web.pages import (
    detail,
    export,
    filter_lists,
    groups,
    pictures,
    quality,
    report,
    rows,
    saved,
)
from activity_audit.report.web.pages.static_files import StaticFilesForEver


def routes() -> list[BaseRoute]:
    """All pages, and what their scripts ask for."""
    return [
        Route("/", report.page, name="report"),
        Route("/rows", rows.page),
        Route("/values", filter_lists.page),
        Route("/event", detail.page),
        Route("/groups", groups.page),
        Route("/pictures", pictures.page),
        Route("/export", export.page),
        Route("/saved", saved.page),
        Route("/quality", quality.heat_map),
        Route("/quality/quarantine", quality.quarantine),
        Route("/quality/drift", quality.drift),
        Route("/quality/checks", quality.checks),
        Mount("/static/{version}", StaticFilesForEver()),
    ]
