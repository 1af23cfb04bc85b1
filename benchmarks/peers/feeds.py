"""The feeds that peers and product are given: the simulator's, all of them in the one format that the peers read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from orchestration.simulator import profiles
from orchestration.simulator.simulate import simulate

UNTIL = datetime(2026, 5, 8, tzinfo=UTC)


def write(feeds: Path, events: int, hours: int) -> None:
    """Write about so many records, as NDJSON with the API's field names, with every kind of defect."""
    with mock.patch.object(profiles, "file_format", return_value=profiles.NDJSON):
        simulate(feeds, hours=hours, until=UNTIL, events_per_hour=events // hours, seed=1, defects=True)
