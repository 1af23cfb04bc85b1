"""Retention deletes what is past it, everywhere, and nothing else; legal holds and doubts keep it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from orchestration.maintenance import maintain, preview
from orchestration.settings import Settings, load_settings
from tests.integration.support import deliver, event, lines, one, query, run
from tests.integration.tampering import copied, entries, findings


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("retention")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"), applications="search,qm")
    for hour in range(2):
        for feed in ("search", "qm"):
            records = [event(f"{feed}-{hour}-{n}", comments=f"comment {n}") for n in range(20)]
            deliver(settings, lines([*records, records[0], "junk"]), feed=feed, hour=hour)
        run(settings, hour)
    return settings


@pytest.fixture
def home(published: Settings, tmp_path: Path) -> Settings:
    return copied(published, tmp_path / "home")

def test_a(home):
    kept = home.model_copy(update={"retention": "search=30d"})
    p = preview(kept); print(p.as_dict())
    assert findings(home) == []
    u = maintain(kept); print(u.as_dict())
    print(findings(home))
    for t in ("fact_activity_event","quality.quarantined_event","quality.feed_delivery","agg_activity_hourly"):
        print(t, query(home, f"select count(*) from {t}"))
    print(query(home, "from quality.deletion"))
    print(query(home, "select * from dim_entity_activity where event_count>0"))
    print(query(home, "select feed, feed_hour_utc, deleted_at_utc from quality.feed_reconciliation"))
    print([e.kind for e in entries(home)])
    print(list(home.raw_dir.rglob("*")))
    assert 0
