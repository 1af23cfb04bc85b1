"""Where an event came from, and how far the report is to be trusted, held against the warehouse's tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestration.settings import Settings
from report.queries import detail, events, quality, trust
from report.queries.orders import Order
from report.queries.warehouse import Query
from tests.integration.report_rows import END, START, TITLES, WHOLE, in_order
from tests.integration.support import query


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
    said = trust.trust(asked, home.freshness, now)
    assert (said.data_through, said.quarantined, said.stale, said.blocked) == (
        datetime(2026, 5, 1, 11, tzinfo=UTC).replace(tzinfo=None), 1, False, False
    )  # fmt: skip
    assert said.checks_passed + said.warnings == len(quality.checks(asked))
    assert said.missing == 15
    assert trust.trust(asked, home.freshness, now + timedelta(hours=3)).stale
    cells = {cell.feed: cell for cell in quality.heat_map(asked, START, END)}
    assert (cells["search"].status, cells["search"].quarantined, cells["qm"].status) == ("balanced", 1, "missing")
    (refused,) = quality.quarantine(asked, reason="invalid_outcome", feed="search")
    assert refused.event_id == "refused"
    key = tuple(getattr(refused, name) for name in quality.QUARANTINE_KEY)
    assert quality.quarantine(asked, after=key) == []
    assert quality.reasons(asked) == [("invalid_outcome", 1)]
    assert said.drift == len(quality.drift(asked))
