"""The views of the report: what an address, a form or a saved report names, and the page of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from activity_audit.report.web.urls import BadLinkError

VIEWS = {"table": "/", "groups": "/groups", "pictures": "/pictures"}


def view_of(said: Mapping[str, Any]) -> str:
    """The name of the view that a form or a URL says, the table if it says none.

    Raises:
        BadLinkError: if there is no such view.
    """
    name = str(said.get("view") or "table")
    if name not in VIEWS:
        raise BadLinkError(f"the report has no view “{name}”; the views are {', '.join(VIEWS)}")
    return name
