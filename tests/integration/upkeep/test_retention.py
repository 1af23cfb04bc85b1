"""Retention deletes what is past it, everywhere, and nothing else; what it deleted never comes back."""

from __future__ import annotations

import hashlib
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from activity_audit.base import catalogue
from activity_audit.evidence.verify import published_deliveries
from activity_audit.evidence.verify.verify import verify
from activity_audit.ingest.planning import plan
from activity_audit.ledger.chain import DELETION
from activity_audit.pipeline.run import land_feeds
from activity_audit.pipeline.status import status
from activity_audit.raw.index import INDEX_NAME
from activity_audit.settings.core import Settings
from activity_audit.upkeep import compaction, maintenance
from activity_audit.upkeep.maintenance import maintain, preview
from activity_audit.upkeep.retention.report import by_feed
from tests.integration.retention_support import BY_FEED, keeping, read
from tests.integration.support import HOUR, dump, event, key_differences, lines, one, query, run
from tests.integration.tampering import FACT, copied, entries, findings, raw_file
from tests.integration.upkeep.test_maintenance import age


@pytest.fixture
def published(retention_home: Settings) -> Settings:
    return retention_home


@pytest.fixture
def home(retention_home: Settings, tmp_path: Path) -> Settings:
    return copied(retention_home, tmp_path / "home")


def _everything(settings: Settings) -> dict[str, str]:
    """The content of every file of a home; those that SQLite makes for every reader are empty."""
    files = [path for path in settings.home.rglob("*") if path.is_file() and path.suffix != ".sqlite-shm"]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.stat().st_size}


def _agreement(settings: Settings) -> None:
    """What is derived from the fact says what the fact has."""
    events = (
        "select event_hour_utc, application, entity, activity, outcome, count(*) from fact_activity_event group by all"
    )
    assert query(settings, f"({events} except all from agg_activity_hourly) union all "
                           f"(from agg_activity_hourly except all {events})") == []  # fmt: skip
    counted = (
        "select entity_activity_key, count(*), min(event_time_utc), max(event_time_utc), min(activity) "
        "from fact_activity_event group by all"
    )
    said = (
        "select entity_activity_key, event_count, first_seen_utc, last_seen_utc, activity from dim_entity_activity "
        "where event_count > 0"
    )
    assert query(settings, f"({counted} except all {said}) union all ({said} except all {counted})") == []
    assert key_differences(settings) == []
    assert query(settings, "select activity from dim_entity_activity where event_count = 0 and not is_documented") == []


def test_what_is_past_its_retention_goes_and_nothing_else(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keeping(home, "forever, search=30d")
    (home.raw_dir / "search/2026-05-01/10" / f"20260501T111000.000000Z-{'a' * 32}.manifest.json").write_text("{}")
    before, runs = _everything(home), query(home, "select run_id from quality.pipeline_run order by started_at_utc")
    (total,) = by_feed(preview(kept).retention.due)
    assert (total.feed, total.hours, total.events, total.quarantined, total.raw_files) == ("search", 2, 40, 2, 2)
    assert total.bytes == sum(raw_file(home, "search", hour).stat().st_size for hour in (10, 11))
    assert _everything(home) == before

    deliveries = query(home, "from quality.feed_delivery order by all")
    done = maintain(kept)
    assert by_feed(done.retention.due) == [total]
    assert query(home, BY_FEED) == [("qm", 40)]
    assert query(home, "select feed, count(*) from quality.quarantined_event group by all") == [("qm", 2)]
    assert query(home, "from quality.feed_delivery order by all") == deliveries
    hours = "select distinct feed, deleted_at_utc is null from quality.feed_reconciliation order by all"
    assert query(home, hours) == [
        ("qm", True), ("search", False),
    ]  # fmt: skip
    assert not (home.raw_dir / "search").exists() or not list((home.raw_dir / "search").rglob("*"))
    assert query(home, "select feed, events, quarantined, deliveries, raw_files, retention, maintain_run_id "
                       "from quality.deletion order by feed_hour_utc") == [
        ("search", 20, 1, 1, 1, "search=30d", done.run_id)] * 2  # fmt: skip
    _agreement(home)
    own = {entry.batch.key: entry.batch for entry in entries(home) if entry.kind == "batch"}
    assert [own[entry.batch.key] for entry in entries(home) if entry.kind == DELETION] == [
        own[key] for key in sorted(own, key=lambda key: key[1]) if key[0] == "search"
    ]
    report = verify(kept)
    assert report.findings == []
    assert report.counts["batches that retention deleted"] == 2
    # The snapshots of before have it all, until they expire.
    assert one(home, f"select count(*) from {FACT}", at=runs[-1][0]) == 80
    assert one(home, f"select count(*) from {FACT}", at=done.run_id) == 40

    # Again it finds nothing to do, whatever is compacted meanwhile.
    monkeypatch.setattr(compaction, "_ENOUGH", 2)
    after = dump(home, set())
    assert maintain(kept).retention.due == []
    assert dump(home, set()) == after
    assert findings(home) == []


@pytest.mark.slow
def test_nothing_that_was_deleted_comes_back(published: Settings, home: Settings) -> None:
    offered = keeping(home, "search=30d").model_copy(update={"feed_url": published.feed_url})
    maintain(offered)
    window = (HOUR, HOUR + timedelta(hours=2))
    assert plan(offered, catalogue.slugs()).ranges == []
    assert land_feeds(offered, catalogue.slugs(), window).new == []
    assert findings(offered) == []
    # A lost index lands it again, and no run publishes it.
    for path in home.raw_dir.glob(f"{INDEX_NAME}*"):
        path.unlink()
    assert plan(offered, catalogue.slugs()).hours == 2
    run(offered, 0, 2)
    assert query(home, BY_FEED) == [("qm", 40)]
    assert plan(offered, catalogue.slugs()).ranges == []
    assert [(f.layer, f.problem, f.severity) for f in findings(offered)] == [("raw", "added", "warning")]
    assert not any("landed" in sentence for sentence in status(offered)["broken"])
    assert maintain(offered).counts["raw files removed"] == 1
    assert findings(offered) == []

    # What is new for a deleted hour is taken, also where it repeats what was deleted.
    read(home, lines([event("search-1-5", activity="odd Thing"), event("few")]))
    run(home, 1)
    ours = f"select event_id from {FACT} where feed = 'search' order by all"
    assert query(home, ours) == [("few",), ("search-1-5",)]
    assert one(home, "select count(*) from quality.feed_reconciliation where deleted_at_utc is not null") == 2
    _agreement(home)
    assert findings(home) == []
    # It goes with the next upkeep, however few rows its files have.
    assert [total.events for total in by_feed(maintain(keeping(home, "30d,qm=forever")).retention.due)] == [2]
    assert query(home, BY_FEED) == [("qm", 40)]
    assert one(home, "select sum(events) from quality.deletion") == 42
    assert len(_holding(home, "few")) == 1
    for days in (40, 2):
        age(home, days)
        maintain(home)
    assert _holding(home, "few") == []
    assert findings(home) == []


def test_the_bytes_are_gone_when_the_snapshots_have_expired(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the first upkeep was killed before the raw files were gone."""

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    # As of a history that takes more than one slice.
    monkeypatch.setattr(published_deliveries, "_AT_A_TIME", 1)
    kept = keeping(home, "search=30d")
    with monkeypatch.context() as patch:
        patch.setattr(maintenance, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            maintain(kept)
    assert query(home, BY_FEED) == [("qm", 40)]
    assert [(f.layer, f.problem, f.severity) for f in findings(home)] == [("raw", "added", "warning")] * 2
    assert preview(kept).counts["raw files left by an earlier upkeep"] == 2
    # The next one finishes, even if nothing is to be deleted any more.
    assert maintain(home).counts["raw files removed"] == 2
    assert findings(home) == []
    # The events are in files of the snapshots before, and beside those that stay in none that is current.
    assert len(_holding(home, "search-1-7")) == 1
    age(home, 40)
    maintain(kept)
    age(home, 2)
    maintain(kept)
    assert _holding(home, "search-1-7") == _holding(home, "search-0-1") == []
    assert len(_holding(home, "qm-1-7")) == 1
    assert query(home, BY_FEED) == [("qm", 40)]
    assert findings(home) == []


def _holding(settings: Settings, event_id: str) -> list[str]:
    """The data files that have an event, in whatever column, and `catalog` where the catalog has it as a row."""
    found = []
    with duckdb.connect() as connection:
        for path in sorted((settings.home / "warehouse/data").rglob("*.parquet")):
            rows = connection.execute(f"select to_json(row) from read_parquet('{path}') as row").fetchall()
            found += [path.name] if any(f'"{event_id}"' in row for (row,) in rows) else []
    with sqlite3.connect(settings.home / "warehouse/catalog.sqlite") as catalog:
        tables = catalog.execute("select name from sqlite_master where name like 'ducklake_inlined_data_%'").fetchall()
        rows = [row for (table,) in tables for row in catalog.execute(f"select * from {table}").fetchall()]
    return found + (["catalog"] if any(event_id in map(str, row) for row in rows) else [])
