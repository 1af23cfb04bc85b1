"""Quarantined records that are judged again: what becomes of them, of all figures, and of the proof."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from orchestration.replay import replay
from orchestration.replay_report import Report
from orchestration.settings import Settings, load_settings
from tests.integration.support import deliver, dump, event, lines, one, query, run
from tests.integration.tampering import copied, findings

# Two hours after its feed hour's end, which is more than the usual tolerance, and less than a raised one.
SOON = "2026-05-01T13:00:00Z"
LATER = "2026-05-01T19:00:00Z"


def raised(settings: Settings, hours: int = 4) -> Settings:
    return settings.model_copy(update={"future_tolerance": timedelta(hours=hours)})


def again(settings: Settings, **chosen: str) -> Report:
    return replay(settings, str(uuid4()), **chosen)


def reconciliation(settings: Settings) -> list[tuple[Any, ...]]:
    return query(
        settings,
        "select feed, hour(feed_hour_utc), received, accepted, duplicate, quarantined, offset_normalised, late "
        "from quality.feed_reconciliation where files > 0 order by feed_hour_utc, feed",
    )


def assert_accounts_agree(settings: Settings) -> None:
    """The reconciliation is what the tables have, hour by hour, and all that is published can be proved."""
    counted = query(
        settings,
        """
        select
            feed, feed_hour_utc, received, coalesce(events, 0), received - coalesce(events, 0) - coalesce(open, 0),
            coalesce(open, 0)
        from quality.feed_reconciliation
        left join (select feed, feed_hour_utc, count(*) as events from fact_activity_event group by all)
            using (feed, feed_hour_utc)
        left join (select feed, feed_hour_utc, count(*) as open from quality.quarantined_event
                   where resolved_at_utc is null group by all) using (feed, feed_hour_utc)
        order by all
        """,
    )
    columns = "feed, feed_hour_utc, received, accepted, duplicate, quarantined"
    assert counted == query(settings, f"select {columns} from quality.feed_reconciliation order by all")
    sums = "sum(received)::int, sum(accepted)::int, sum(duplicate)::int, sum(quarantined)::int"
    assert query(settings, f"select {sums} from quality.pipeline_run") == query(
        settings, f"select {sums} from quality.feed_reconciliation"
    )
    assert one(settings, "select sum(event_count)::int from agg_activity_hourly") == one(
        settings, "select count(*) from fact_activity_event"
    )
    assert findings(settings) == []


RECORDS: Sequence[dict[str, Any] | str] = [
    event("fine"),
    event("soon", eventTime=SOON),
    event("offset", eventTime="2026-05-01T15:00:00+02:00", activity="Unheard of"),
    event("later", eventTime=LATER),
    event("two-reasons", eventTime=SOON, outcome="MAYBE"),
    event("soon", eventTime=SOON),
    event("taken", eventTime=SOON, comments="first"),
    "junk",
    "x" * 3000,
]


@pytest.fixture(scope="module")
def quarantined(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two feeds whose clocks were wrong; what `taken` was in quarantine for, another event has said since."""
    folder = tmp_path_factory.mktemp("replay")
    settings = load_settings(
        home=folder / "home", feed_url=str(folder / "landing"), applications="search,qm", max_record_bytes=2000
    )
    deliver(settings, lines(RECORDS))
    deliver(settings, lines([event("qm-soon", eventTime=SOON)]), feed="qm")
    run(settings)
    deliver(settings, lines([event("taken", eventTime=SOON, comments="second")]), hour=2)
    run(settings, 1, 2)
    return settings


@pytest.fixture
def home(quarantined: Settings, tmp_path: Path) -> Settings:
    return copied(quarantined, tmp_path / "home")


def test_a_changed_setting_resolves_exactly_what_it_was_in_the_way_of(home: Settings) -> None:
    deliveries = query(home, "select * from quality.feed_delivery order by delivery_id")
    # Nothing is resolved while nothing has changed but what was accepted meanwhile.
    unresolved = again(home)
    assert (unresolved.judged, unresolved.cut_off, unresolved.changed, unresolved.remaining) == (8, 1, 1, 8)
    only_qm = again(raised(home), feed="qm")
    assert (only_qm.judged, only_qm.accepted) == (1, 1)
    assert again(raised(home), reason="invalid_outcome").changed == 1
    report = again(raised(home))
    assert (report.judged, report.accepted, report.duplicate, report.changed, report.remaining) == (7, 2, 1, 1, 4)
    assert report.resolved_by_reasons == [
        {"feed": "search", "reasons": ["event_time_in_future"], "accepted": 2, "duplicate": 1}
    ]
    assert report.changed_by_reasons == [
        {"feed": "search", "reasons_before": ["event_time_in_future", "event_id_conflict"],
         "reasons_after": ["event_id_conflict"], "records": 1}
    ]  # fmt: skip
    assert {row["reason"]: row["records"] for row in report.remaining_by_reason} == {
        "event_time_in_future": 1, "invalid_outcome": 1, "event_id_conflict": 1, "unparseable": 1
    }  # fmt: skip
    assert reconciliation(home) == [
        ("qm", 10, 1, 1, 0, 0, 0, 0),
        ("search", 10, 9, 3, 1, 5, 1, 0),
        ("search", 12, 1, 1, 0, 0, 0, 0),
    ]
    assert query(home, "select event_id, source_record, hour(feed_hour_utc), run_id from fact_activity_event "
                       "where source_record > 1 order by source_record") == [
        ("soon", 2, 10, report.run_id), ("offset", 3, 10, report.run_id)
    ]  # fmt: skip
    # What was accepted never changes, and what came with a run stays that run's.
    assert one(home, "select comments from fact_activity_event where event_id = 'taken'") == "second"
    assert query(home, "select * from quality.feed_delivery order by delivery_id") == deliveries
    assert query(home, "select source_record, disposition, revision from quality.replayed_record "
                       "where feed = 'search' order by source_record, revision") == [
        (2, "accepted", 1), (3, "accepted", 1), (5, "quarantined", 1), (6, "duplicate", 1), (7, "quarantined", 1),
        (7, "quarantined", 2),
    ]  # fmt: skip
    assert one(home, "select kind from quality.pipeline_run where run_id = $$" + str(report.run_id) + "$$") == "replay"
    assert one(home, "select count(*) from fact_activity_event", report.run_id) == 5
    assert_accounts_agree(home)
    before, runs = dump(home, set()), query(home, "from quality.pipeline_run order by all")
    repeated = again(raised(home))
    assert (repeated.run_id, repeated.judged, repeated.remaining) == (None, 4, 4)
    assert dump(home, set()) == before
    assert query(home, "from quality.pipeline_run order by all") == runs
