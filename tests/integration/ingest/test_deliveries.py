"""Deliveries as they come: late, grown, replaced, with and without a manifest, or not at all."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from datetime import timedelta
from typing import Any

import pytest

from activity_audit.base import catalogue
from activity_audit.base.hours import floor_hour, iso, now_utc
from activity_audit.ingest.planning import plan
from activity_audit.pipeline.run import land_feeds
from activity_audit.pipeline.status import status
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake
from tests.integration.support import HOUR, audit, begin, deliver, event, lines, one, query, run


def _state(settings: Settings, feed: str = "search") -> tuple[Any, ...]:
    rows = query(settings, "select status, declared, received, accepted, duplicate, detail "
                           f"from quality.feed_reconciliation where feed = '{feed}'")  # fmt: skip
    assert len(rows) == 1
    return rows[0]


def _declare(settings: Settings, *files: dict[str, Any]) -> None:
    deliver(settings, json.dumps({"files": list(files)}).encode(), "_manifest.json")


@pytest.mark.slow
def test_a_grown_file_is_a_second_delivery(settings: Settings) -> None:
    deliver(settings, lines([event("a"), event("b")]))
    run(settings)
    deliver(settings, lines([event("a"), event("b"), event("c")]))
    run(settings)
    assert _state(settings) == ("balanced", None, 5, 3, 2, None)
    assert one(settings, "select files from quality.feed_reconciliation where feed = 'search'") == 2


@pytest.mark.slow
def test_a_manifest_is_held_against_what_came(settings: Settings) -> None:
    content = lines([event("a"), event("b")])
    sha256 = hashlib.sha256(content).hexdigest()
    deliver(settings, content)
    _declare(settings, {"name": "a.ndjson", "records": 2, "sha256": sha256.upper()})
    run(settings)
    assert _state(settings) == ("balanced", 2, 2, 2, 0, None)

    _declare(settings, {"name": "a.ndjson", "records": 3, "sha256": sha256}, {"name": "b.ndjson", "records": 1})
    run(settings)
    status, declared, *_, detail = _state(settings)
    assert (status, declared) == ("incomplete", 4)
    assert "a.ndjson has 2 records, the manifest says 3" in detail
    assert "b.ndjson is in the manifest and was not delivered" in detail
    failed = query(settings, "select severity, is_blocking from quality.validation_result where not success and "
                             "expectation = 'deliveries_agree_with_their_manifest'")  # fmt: skip
    assert failed == [("error", False)]
    assert audit(settings, "status", check=False).returncode == 1

    _declare(settings, {"name": "a.ndjson", "records": 2, "sha256": "0" * 64})
    run(settings)
    status, *_, detail = _state(settings)
    assert status == "incomplete"
    assert detail == f"a.ndjson has the hash {sha256}, the manifest says {'0' * 64}"

    # The grown file and the rest arrive: the hour is complete, and a file that is not listed is only remarked on.
    grown = lines([event("a"), event("b"), event("c")])
    deliver(settings, grown)
    deliver(settings, lines([event("d")]), "b.ndjson")
    deliver(settings, lines([event("e")]), "c.ndjson")
    _declare(settings, {"name": "a.ndjson", "records": 3, "sha256": hashlib.sha256(grown).hexdigest()},
             {"name": "b.ndjson", "records": 1})  # fmt: skip
    run(settings)
    assert _state(settings) == ("balanced", 4, 7, 5, 2, "c.ndjson is not in the manifest")


@pytest.mark.slow
def test_missing_is_not_empty(settings: Settings) -> None:
    narrow = settings.model_copy(update={"applications": ["search", "qm", "wfm"]})
    deliver(narrow, b"", "empty.ndjson")
    deliver(narrow, json.dumps({"files": []}).encode(), "_manifest.json", feed="qm")
    run(narrow)
    assert dict(query(narrow, "select feed, status from quality.feed_reconciliation")) == {
        "search": "balanced",
        "qm": "balanced",
        "wfm": "missing",
    }
    # It arrives late after all, and so does a feed that nobody expects.
    deliver(narrow, lines([event("w", application="WFM")]), feed="wfm")
    deliver(narrow, lines([event("s", application="")]), feed="supervisor")
    run(narrow)
    states = dict(query(narrow, "select feed, status from quality.feed_reconciliation"))
    assert states["wfm"] == states["supervisor"] == "balanced"


def test_the_plan_finds_late_and_passed_over_hours_and_unknown_folders(settings: Settings) -> None:
    feeds = catalogue.slugs()
    deliver(settings, lines([event("a")]))
    deliver(settings, lines([event("b")]), hour=3)
    (settings.home / "landing" / "nobody_knows").mkdir()
    planned = plan(settings, feeds)
    assert planned.ranges == [(HOUR, HOUR + timedelta(hours=4))]
    assert planned.warnings == ["no feed is known for nobody_knows/; it was not read"]
    run(settings, 0, 4)
    assert one(settings, "select count(*) from quality.feed_reconciliation where status = 'missing' "
                         "and feed_hour_utc = '2026-05-01 11:00:00'") == 16  # fmt: skip
    assert plan(settings, feeds).ranges == []
    deliver(settings, lines([event("late")]), "late.ndjson", hour=1)
    assert plan(settings, feeds).ranges == [(HOUR + timedelta(hours=1), HOUR + timedelta(hours=2))]


def test_an_hour_that_is_not_over_misses_nothing_and_a_raw_file_that_is_gone_is_named(settings: Settings) -> None:
    begin = floor_hour(now_utc())
    current = int((begin - HOUR).total_seconds() // 3600)
    deliver(settings, lines([event("now", eventTime=iso(begin))]), hour=current)
    landed = land_feeds(settings, ["search"], (begin, begin + timedelta(hours=1))).new
    gone = settings.raw_dir / landed[0].raw_path
    gone.unlink()
    with pytest.raises(lake.WarehouseError, match=f"1 files of the raw lake.*{gone.name}.*index.sqlite"):
        run(settings, current)
    (settings.raw_dir / "index.sqlite").unlink()
    run(settings, current)
    assert one(settings, "select event_id from fact_activity_event") == "now"
    if floor_hour(now_utc()) == HOUR + timedelta(hours=current):
        assert query(settings, "select feed, status from quality.feed_reconciliation") == [("search", "balanced")]


@pytest.mark.slow
def test_a_moved_home_goes_on(settings: Settings) -> None:
    deliver(settings, lines([event("a")]))
    run(settings)
    moved = settings.model_copy(update={"home": settings.home.with_name("moved")})
    settings.home.rename(moved.home)
    deliver(moved, lines([event("b")]), hour=1)
    run(moved, 0, 2)
    assert one(moved, "select string_agg(event_id, ',' order by event_id) from fact_activity_event") == "a,b"


@pytest.mark.slow
def test_the_warehouse_is_rebuilt_from_raw_alone(settings: Settings) -> None:
    import shutil

    deliver(settings, lines([event("a"), event("a", comments="other"), "junk"]))
    run(settings)
    before = query(settings, "select event_id, source_record, comments from fact_activity_event")
    shutil.rmtree(settings.home / "warehouse")
    shutil.rmtree(settings.home / "landing")
    with pytest.raises(lake.LostCatalogueError, match=r"warehouse\.json.*restore the catalog"):
        plan(settings, catalogue.slugs())
    (settings.home / "warehouse.json").unlink()
    assert plan(settings, catalogue.slugs()).ranges == [(HOUR, HOUR + timedelta(hours=1))]
    run(settings)
    assert query(settings, "select event_id, source_record, comments from fact_activity_event") == before


@pytest.mark.slow
def test_a_delivery_that_is_not_published_is_not_forgotten(settings: Settings) -> None:
    """Landed by a run that failed; then another feed's run passed."""
    deliver(settings, lines([event("a")]))
    land_feeds(settings, ["search"], (HOUR, HOUR + timedelta(hours=1)))
    deliver(settings, lines([event("q", application="QM")]), feed="qm")
    run(settings, feeds=["qm"])
    waiting = "deliveries were landed more than 0:00:00 ago and are not published"
    due = settings.model_copy(update={"freshness": timedelta(0)})
    assert any(waiting in sentence for sentence in status(due)["broken"])
    assert not any("are not published" in sentence for sentence in status(settings)["broken"])
    assert plan(settings, catalogue.slugs()).ranges == [(HOUR, HOUR + timedelta(hours=1))]
    run(settings)
    assert not any(waiting in sentence for sentence in status(due)["broken"])


@pytest.mark.slow
def test_hours_in_which_only_some_feeds_were_run_are_planned(settings: Settings) -> None:
    deliver(settings, lines([event("a")]))
    run(settings, feeds=["search"])
    assert plan(settings, ["search"]).ranges == []
    assert plan(settings, catalogue.slugs()).ranges == [(HOUR, HOUR + timedelta(hours=1))]
    run(settings)
    assert plan(settings, catalogue.slugs()).ranges == []


def test_a_compaction_is_no_gap_in_time(settings: Settings) -> None:
    begin(settings)
    before = one(settings, "select min(snapshot_time) from audit.snapshots()") - timedelta(seconds=1)
    published = now_utc()
    with sqlite3.connect(settings.home / "warehouse/catalog.sqlite") as catalog:
        catalog.execute("update ducklake_snapshot_changes set commit_message = null")
    assert one(settings, "select count(*) from fact_activity_event", iso(published)) == 1
    with pytest.raises(lake.WarehouseError, match="no snapshot as old as"):
        query(settings, "select 1", iso(before))


@pytest.fixture(scope="module")
def replaced_and_without_header(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """An hour in which one feed replaced a file after it was landed, and another sent a CSV file without a header."""
    settings = load_settings(home=tmp_path_factory.mktemp("deliveries") / "home")
    deliver(settings, lines([event("a")]))
    land_feeds(settings, ["search"], (HOUR, HOUR + timedelta(hours=1)))
    deliver(settings, lines([event("b")]))
    deliver(settings, b"e-1,2026-05-01T10:00:00Z,Search,search,SUCCESS\ne-2,x\n", "a.csv", feed="qm")
    run(settings)
    return settings


def test_a_file_that_is_replaced_before_it_is_published_is_two_deliveries(
    replaced_and_without_header: Settings,
) -> None:
    """Both have a record at the same position of the same file, and both are published."""
    settings = replaced_and_without_header
    assert query(settings, "select event_id, source_record from fact_activity_event order by 1") == [("a", 1), ("b", 1)]
    assert _state(settings) == ("balanced", None, 2, 2, 0, None)


def test_the_quarantine_says_that_a_csv_has_no_header(replaced_and_without_header: Settings) -> None:
    settings = replaced_and_without_header
    assert one(settings, "select count(*) from quality.quarantined_event") == 2
    rows = query(settings, "select record, record_bytes, reasons from quality.quarantined_event order by source_record")
    first = "e-1,2026-05-01T10:00:00Z,Search,search,SUCCESS"
    assert rows[0][0].startswith("the file has no header: ")
    assert rows[0][0].endswith(first)
    assert rows[0][1:] == (first.encode(), ["unparseable"])
    assert rows[1] == ("e-2,x", None, ["unparseable"])
