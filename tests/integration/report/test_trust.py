"""Where an event came from, and how far the report is to be trusted, held against the warehouse's tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activity_audit.report.queries import charts, detail, events, quality, trust
from activity_audit.report.queries.orders import Order
from activity_audit.report.queries.warehouse import Query
from activity_audit.settings.core import Settings
from activity_audit.warehouse.coverage import Coverage
from activity_audit.warehouse.events.filters import Filters
from tests.integration.report_rows import END, START, TITLES, WHOLE, in_order
from tests.integration.support import HOUR, query


@pytest.fixture
def home(varied_home: Settings) -> Settings:
    return varied_home


def test_one_event_says_where_it_came_from(home: Settings, asked: Query, rows: list[dict[str, Any]]) -> None:
    wanted = max(rows, key=lambda row: row["event_id"])
    found = detail.event(asked, wanted["event_id"])
    assert found is not None
    assert found.fields == {field: wanted[field] for field in TITLES}
    assert detail.event(asked, wanted["event_id"], wanted["event_time_utc"]) == found
    assert detail.event(asked, wanted["event_id"], wanted["event_time_utc"] + timedelta(hours=1)) is None
    assert detail.event(asked, "nobody") is None
    kept = replace(WHOLE, event_ids=(wanted["event_id"], "nobody"))
    assert events.page(asked, kept, Order()).rows == in_order([wanted], Order())
    assert (events.count(asked, kept), events.count(asked, replace(kept, event_ids=("nobody",)))) == (1, 0)
    assert found.feed == "search"
    assert [delivery.name for delivery in found.deliveries] == ["a.ndjson"]
    assert found.snapshot_id == asked.snapshot.snapshot_id
    assert found.ledger is not None
    (sha256,) = query(home, "select entry_sha256 from quality.integrity_ledger where feed = 'search'")[0]
    assert found.ledger.entry_sha256 == sha256
    assert len(found.record_sha256) == 64


def test_trust_and_quality_say_what_the_tables_say(home: Settings, asked: Query) -> None:
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    said = trust.trust(asked, now)
    assert (said.data_through, said.quarantined, said.stale, said.blocked) == (
        datetime(2026, 5, 1, 11, tzinfo=UTC).replace(tzinfo=None), 1, False, False
    )  # fmt: skip
    assert said.checks_passed + said.errors + said.warnings == len(quality.checks(asked))
    found = [one.severity for one in quality.checks(asked) if not one.success]
    assert (said.errors, said.warnings) == (found.count("error"), found.count("warning"))
    assert said.errors, "of 401 records one has an outcome that is none, and 15 feeds brought nothing"
    assert said.coverage == Coverage(16, recorded=16, missing=15)
    # One hour was loaded ever, which is not the newest seven days.
    assert (said.of_period, said.since) == (False, datetime(2026, 5, 1, 10, tzinfo=UTC).replace(tzinfo=None))
    assert said.level == "bad"
    assert trust.trust(asked, now + timedelta(hours=3)).stale
    cells = {cell.feed: cell for cell in quality.heat_map(asked, START, END)}
    assert (cells["search"].status, cells["search"].quarantined, cells["qm"].status) == ("balanced", 1, "missing")
    (refused,) = quality.quarantine(asked, reason="invalid_outcome", feed="search")
    assert refused.event_id == "refused"
    key = tuple(getattr(refused, name) for name in quality.QUARANTINE_KEY)
    assert quality.quarantine(asked, after=key) == []
    assert quality.reasons(asked) == [("invalid_outcome", 1)]
    assert said.drift == len(quality.drift(asked))


def test_a_period_is_complete_only_if_all_of_it_was_looked_at(home: Settings, asked: Query) -> None:
    now = datetime(2026, 5, 3, tzinfo=UTC)

    def said(start: datetime, end: datetime, *applications: str) -> Coverage | None:
        return trust.trust(asked, now, Filters(start, end, applications)).coverage

    hour = timedelta(hours=1)
    assert said(HOUR, HOUR + hour, "Search") == Coverage(1, recorded=1)
    # A period that ends in the middle of a feed hour has part of it.
    assert said(HOUR + hour / 2, HOUR + 1.5 * hour, "Search") == Coverage(2, unknown=1, recorded=1)
    april = said(datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
    assert april == Coverage(30 * 24 * 16, unknown=30 * 24 * 16, before=30 * 24 * 16)
    assert april.level == "unknown"
    assert april.parts == [
        ("unknown", "11,520 of 11,520 feed hours not looked at, 11,520 of them before the first that was loaded")
    ]
    day = said(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC), "Search")
    assert day == Coverage(24, unknown=23, before=10, recorded=1)
    # What is not over, or has time to come, is no gap.
    assert said(now - 3 * hour, now + 3 * hour, "Search") == Coverage(1, unknown=1, waiting=5)
    later = said(now, now + hour, "Search")
    assert (later, later.level, later.parts) == (
        Coverage(waiting=1), "unknown", [("unknown", "no feed hour is due yet")]
    )  # fmt: skip
    # A name that no catalogue has may come in any feed; a feed that need not deliver has no gaps.
    assert said(HOUR, HOUR + hour, "Nobody's") == said(HOUR, HOUR + hour)
    assert said(HOUR, HOUR + hour, "Activity Audit") == Coverage()
    without = Filters(HOUR, HOUR + hour, excluded=(("application", "Search"),))
    assert trust.trust(asked, now, without).coverage == Coverage(15, recorded=15, missing=15)


def test_a_picture_knows_which_of_its_hours_nobody_has_looked_at(asked: Query) -> None:
    now = datetime(2026, 5, 3, tzinfo=UTC)
    kept = Filters(HOUR - timedelta(hours=1), HOUR + timedelta(hours=2), ("Search",))
    points = charts.looked_over_time(asked, kept, now)
    assert [(point.at.hour, point.looked) for point in points] == [(9, "not"), (10, "wholly"), (11, "not")]
    longer = replace(kept, start=HOUR - timedelta(days=10))
    days = charts.looked_over_time(asked, longer, now)
    # An event that came later than it happened is there, and does not say that there are no others.
    assert {(point.success + point.failure > 0, point.looked) for point in days[:-1]} == {
        (False, "not"), (True, "partly")
    }  # fmt: skip
    assert days[-1].looked == "partly"
    assert [point[:3] for point in days] == charts.over_time(asked, longer).points
