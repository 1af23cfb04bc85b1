"""The feeds that benchmarks give to the product and its peers, in one format that all of them read."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from orchestration.simulator import profiles
from orchestration.simulator.simulate import simulate

UNTIL = datetime(2026, 5, 8, tzinfo=UTC)


def write(feeds: Path, events: int, hours: int, until: datetime = UNTIL) -> None:
    """Write about so many records, as NDJSON with the API's field names, with every kind of defect."""
    with mock.patch.object(profiles, "file_format", return_value=profiles.NDJSON):
        simulate(feeds, hours=hours, until=until, events_per_hour=events // hours, seed=1, defects=True)
