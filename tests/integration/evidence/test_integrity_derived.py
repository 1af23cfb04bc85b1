"""What is derived from the fact is held to it: the aggregate and the dimensions."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from activity_audit.evidence.verify.findings import Finding
from activity_audit.evidence.verify.verify import verify
from activity_audit.settings.core import Settings
from tests.integration.support import HOUR
from tests.integration.tampering import change, copied, findings

AGGREGATE = "agg_activity_hourly"
HOURS = "agg_activity_hourly 2026-05-01T10:00Z"


@pytest.fixture
def home(integrity_home: Settings, tmp_path: Path) -> Settings:
    return copied(integrity_home, tmp_path / "home")


def _of_aggregate(home: Settings) -> list[Finding]:
    """The counts of names are held against the aggregate, and differ with it."""
    return [one for one in findings(home) if not one.what.startswith("observed_name")]


def test_an_aggregate_that_is_gone_or_counts_otherwise_is_named(home: Settings) -> None:
    group = "Search / Search / Search query / SUCCESS"
    change(home, f"delete from {AGGREGATE}")
    (found,) = _of_aggregate(home)
    assert (found.layer, found.problem, found.what) == ("derived", "missing", HOURS)
    assert found.detail == f"{group} has 80 events, but its count is 0"
    change(
        home, f"insert into {AGGREGATE} values ('2026-05-01 10:00', 'Search', 'Search', 'Search query', 'SUCCESS', 81)"
    )
    (found,) = _of_aggregate(home)
    assert (found.problem, found.detail) == ("added", f"{group} has 80 events, but its count is 81")
    change(home, f"update {AGGREGATE} set event_count = 80, outcome = 'FAILURE'")
    (found,) = _of_aggregate(home)
    assert (found.problem, found.detail) == (
        "changed", "Search / Search / Search query / FAILURE has 0 events, but its count is 80, "
        f"{group} has 80 events, but its count is 0",
    )  # fmt: skip
    later = HOUR + timedelta(hours=1)
    assert [one.what for one in verify(home, (later, later + timedelta(hours=1))).findings] == [HOURS]
    # Where the fact is not what was published, that is what there is to say.
    change(home, "delete from fact_activity_event where event_id = 'qm-0-7'")
    assert {one.layer for one in findings(home)} == {"fact"}


def test_of_many_hours_that_differ_some_are_named(home: Settings) -> None:
    hours = "select timestamp '2026-01-01' + to_hours(n), 'a', 'b', 'c', 'SUCCESS', 1 from range(15) as r(n)"
    change(home, f"insert into {AGGREGATE} {hours}")
    found = _of_aggregate(home)
    assert len(found) == 11
    assert found[-1].what == "agg_activity_hourly, 5 more event hours"


def test_a_dimension_that_is_not_what_the_fact_has_is_named(home: Settings) -> None:
    seen = "where event_count > 0"
    change(home, f"update dim_entity_activity set event_count = event_count - 1 {seen}")
    (found,) = findings(home)
    assert (found.layer, found.problem, found.what) == ("derived", "changed", "dim_entity_activity, 1 rows")
    assert found.detail == "Search / Search / Search query has 80 events, but its count is 79"
    change(home, f"update dim_entity_activity set event_count = 80, last_seen_utc = '2027-01-01' {seen}")
    (found,) = findings(home)
    assert "it records 2026-05-01 10:15:00 to 2027-01-01 00:00:00" in found.detail
    change(home, f"delete from dim_entity_activity {seen}", "delete from dim_application")
    assert [(one.problem, one.detail) for one in findings(home)] == [
        ("missing", "Search / Search / Search query has 80 events and no row"),
        ("changed", "Search had its last event at 2026-05-01 10:15:00, but it records never"),
    ]
