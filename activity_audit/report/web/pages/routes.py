"""The routes of the report's pages."""

from __future__ import annotations

import os

from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from activity_audit.report.web.pages import (
    days,
    detail,
    export,
    groups,
    help,
    newest,
    pictures,
    quality,
    report,
    review,
    saved,
)
from activity_audit.report.web.templating import STATIC


def routes() -> list[BaseRoute]:
    """All pages, and what their scripts ask for."""
    return [
        Route("/", report.page, name="report"),
        Route("/rows", report.rows_page),
        Route("/values", report.filter_list),
        Route("/days", days.page),
        Route("/event", detail.page),
        Route("/groups", groups.page),
        Route("/pictures", pictures.page),
        Route("/export", export.page),
        Route("/saved", saved.page),
        Route(newest.PATH, newest.page),
        Route("/help", help.page),
        Route("/quality", quality.heat_map),
        Route("/quality/hour", quality.feed_hour),
        Route("/quality/quarantine", quality.quarantine),
        Route("/quality/drift", quality.drift),
        Route("/quality/checks", quality.checks),
        Route("/quality/review", review.form, methods=["GET"]),
        Route("/quality/review", review.make, methods=["POST"]),
        Mount("/static/{version}", StaticFilesForEver()),
    ]


class StaticFilesForEver(StaticFiles):
    """The folder `static`, for everybody: nothing in it tells of data."""

    def __init__(self) -> None:
        super().__init__(directory=STATIC)

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        answer = super().file_response(full_path, stat_result, scope, status_code)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer
