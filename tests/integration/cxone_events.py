"""Events for the API's test server, from the simulator; and single ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from activity_audit.base import catalogue
from activity_audit.base.hours import hour_range
from activity_audit.simulator.events import Scenario, clean_events
from activity_audit.simulator.files import json_text
from tests.integration.cxone_server import ApiEvent
from tests.integration.support import event


def simulated(start: datetime, hours: int, per_feed: int, feeds: Sequence[str] = ()) -> list[ApiEvent]:
    """So many events of each of these feeds, or of all, in each of so many hours."""
    scenario = Scenario(1, per_feed * 16, defects=False)
    return [
        ApiEvent(hour + timedelta(milliseconds=found.at), json_text(found, "camel"))
        for hour in hour_range(start, start + timedelta(hours=hours))
        for slug in feeds or catalogue.report_prompt_slugs()
        for found in clean_events(scenario, hour, slug, per_feed, "camel")
    ]


def api_event(event_id: str, at: datetime, since: datetime | None = None, until: datetime | None = None,
              **fields: Any) -> ApiEvent:  # fmt: skip
    """An event of Search at a time, which the API has from `since` till `until`."""
    seen = {name: value for name, value in (("since", since), ("until", until)) if value}
    return ApiEvent(at, json.dumps(event(event_id, eventTime=f"{at:%Y-%m-%dT%H:%M:%SZ}", **fields)), **seen)
