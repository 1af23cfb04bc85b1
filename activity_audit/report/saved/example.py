"""The saved report that is there from the start: the source document's own example."""

from __future__ import annotations

from calendar import month_name, monthrange
from datetime import date, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from activity_audit.report.saved.reports import SavedReport

if TYPE_CHECKING:
    from activity_audit.report.queries.warehouse import Query

_ID = "example"
_APPLICATION = "Analytics"
_VIEWED = {"entity": "Chat", "activity": "Interaction Viewed"}


def example(query: Query | None, now: datetime) -> SavedReport:
    """The document's own: who viewed chats in Interaction Analytics in May, of the newest year that has such events.

    Where there are none of any May it is the newest month that has some, and else the last May that has begun.
    """
    first = date(now.year if now.month >= 5 else now.year - 1, 5, 1)
    if query:
        found = query.rows(
            "select max(event_hour_utc) filter (month(event_hour_utc) = 5), max(event_hour_utc) "
            "from audit.main.agg_activity_hourly "
            "where application = ? and list_contains(?, entity) and list_contains(?, activity)",
            [_APPLICATION, *(list(query.labels.spellings(*name)) for name in _VIEWED.items())],
        )[0]
        newest = found[0] or found[1]
        first = newest.date().replace(day=1) if newest else first
    last = first.replace(day=monthrange(first.year, first.month)[1])
    return SavedReport(
        id=_ID,
        name=f"Example: chats viewed in Interaction Analytics, {month_name[first.month]} {first.year}",
        owner=None,
        shared=True,
        query=f"period=from-to&from={first}&to={last}&application={_APPLICATION}&{urlencode(_VIEWED)}",
        saved_at="",
    )
