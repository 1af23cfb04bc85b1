"""Retention deletes what is past it, everywhere, and nothing else; legal holds and doubts keep it."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner

from orchestration import catalogue, compaction, dagster_instance, lake, maintenance
from orchestration.cli.hold import command as hold
from orchestration.cli.maintain import command as maintain_command
from orchestration.feeds.landing import land
from orchestration.feeds.raw_index import INDEX_NAME
from orchestration.feeds.source import Listing, Offer
from orchestration.hours import naive, now_utc
from orchestration.integrity.adoption import adopt
from orchestration.integrity.chain import DELETION
from orchestration.integrity.verify import verify
from orchestration.maintenance import maintain, preview
from orchestration.pipeline import land_feeds
from orchestration.planning import plan
from orchestration.retention import holds
from orchestration.retention.report import by_feed
from orchestration.settings import Settings, load_settings
from orchestration.status import status
from orchestration.upkeep import build_upkeep
from orchestration.workbench import Workbench
from tests.integration.support import HOUR, audit, deliver, dump, event, key_differences, lines, one, query, run
from tests.integration.tampering import change, copied, entries, findings, flip, named, raw_file
from tests.integration.test_maintenance import age

FACT = "fact_activity_event"
BY_FEED = f"select feed, count(*) from {FACT} group by all order by all"
EARLIER = "2026-04-20T09:00:00Z"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two feeds and two hours; the tests work on copies of it."""
    folder = tmp_path_factory.mktemp("retention")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"), applications="search,qm")
    for hour in range(2):
        for feed in ("search", "qm"):
            # More rows than DuckLake keeps in its catalog, so that there are Parquet files.
            when = f"2026-05-01T{10 + hour}:{15 if feed == 'search' else 20}:00Z"
            records = [event(f"{feed}-{hour}-{n}", comments=f"comment {n}", eventTime=when) for n in range(20)]
            if feed == "search":
                # A pair that nobody documented, spelled in two ways.
                records[1] |= {"activity": "Odd Thing" if hour else "ODD thing"}
                records[2] |= {"activity": f"Only {hour}"}
            elif hour:
                # Of the other feed's application, and late.
                records[3] |= {"eventTime": EARLIER}
            content = lines([*records, records[0], "junk"])
            if (feed, hour) == ("search", 1):
                _read(settings, content)
            else:
                deliver(settings, content, feed=feed, hour=hour)
    run(settings, 0, 2)
    # An upkeep looks after Dagster's runs too; made here, its instance is copied with the home.
    with dagster_instance.instance(settings):
        return settings


@pytest.fixture
def home(published: Settings, tmp_path: Path) -> Settings:
    return copied(published, tmp_path / "home")


def _read(settings: Settings, content: bytes) -> None:
    """Land a reading of the second hour of the feed search: all that a source has for it by now."""

    class Source:
        def list(self, *_: object) -> Listing:
            name = f"reading/{len(content)}.ndjson"
            offer = Offer("search", HOUR + timedelta(hours=1), name, "api://hour", name, len(content))
            return Listing([offer])

        def open(self, _: Offer) -> BinaryIO:
            return io.BytesIO(content)

    land(Source(), settings.raw_dir, feeds=["search"], window=None, landed_at=now_utc(), max_record_bytes=1000)


def _keeping(settings: Settings, retention: str) -> Settings:
    return settings.model_copy(update={"retention": retention})


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
    kept = _keeping(home, "forever, search=30d")
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
    offered = _keeping(home, "search=30d").model_copy(update={"feed_url": published.feed_url})
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
    _read(home, lines([event("search-1-5", activity="odd Thing"), event("few")]))
    run(home, 1)
    ours = f"select event_id from {FACT} where feed = 'search' order by all"
    assert query(home, ours) == [("few",), ("search-1-5",)]
    assert one(home, "select count(*) from quality.feed_reconciliation where deleted_at_utc is not null") == 2
    _agreement(home)
    assert findings(home) == []
    # It goes with the next upkeep; and so few rows are in the catalog, not in files.
    assert [total.events for total in by_feed(maintain(_keeping(home, "30d,qm=forever")).retention.due)] == [2]
    assert query(home, BY_FEED) == [("qm", 40)]
    assert one(home, "select sum(events) from quality.deletion") == 42
    assert _holding(home, "few") == ["catalog"]
    age(home, 40)
    maintain(home)
    assert _holding(home, "few") == []
    assert findings(home) == []


def test_the_bytes_are_gone_when_the_snapshots_have_expired(home: Settings) -> None:
    kept = _keeping(home, "search=30d")
    maintain(kept)
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


@pytest.fixture(scope="module")
def deleted(published: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same home after retention deleted what the feed search has."""
    home = copied(published, tmp_path_factory.mktemp("deleted") / "home")
    maintain(_keeping(home, "search=30d"))
    return home


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([f"insert into {FACT} by name select * replace ('search' as feed, timestamp '2026-05-01 10:00' as "
          f"feed_hour_utc) from {FACT} limit 1",
          "delete from quality.feed_delivery where feed = 'search' and feed_hour_utc = '2026-05-01 11:00'"],
         {("fact", "added"), ("fact", "changed"), ("delivery", "missing"), ("reconciliation", "added")}),
        (["delete from quality.deletion where feed_hour_utc = '2026-05-01 10:00'",
          "update quality.deletion set events = 1",
          "insert into quality.deletion by name select * replace ('qm' as feed) from quality.deletion"],
         {("deletion", "missing"), ("deletion", "changed"), ("deletion", "added")}),
        (["update quality.integrity_ledger set accepted = 19 where sequence = 5"],
         {("ledger", "changed"), ("deletion", "changed")}),
        (["update quality.integrity_ledger set kind = 'batch' where sequence = 5"],
         {("ledger", "changed"), ("ledger", "added"), ("deletion", "added"), ("fact", "missing"),
          ("quarantine", "missing"), ("raw", "missing")}),
    ],
)  # fmt: skip
def test_tampering_with_what_was_deleted(
    deleted: Settings, tmp_path: Path, statements: list[str], expected: set[tuple[str, str]]
) -> None:
    home = copied(deleted, tmp_path / "home")
    change(home, *statements)
    assert set(named(findings(home))) == expected


def test_what_is_not_as_it_was_recorded_stays(home: Settings) -> None:
    kept = _keeping(home, "30d")
    change(home, f"update {FACT} set outcome = 'FAILURE' where event_id = 'search-0-3'")
    path = raw_file(home, "qm", 11)
    flip(path, path.stat().st_size // 2)
    before = query(home, BY_FEED)
    done = audit(home, "maintain", "--dry-run", "--output", "json", check=False, AUDIT_RETENTION="30d")
    assert done.returncode == 1
    said = json.loads(done.stdout)["retention"]
    assert [(one["layer"], one["problem"]) for one in said["differing"]] == [("fact", "changed"), ("raw", "changed")]
    assert [(total["feed"], total["hours"]) for total in said["feeds"]] == [("qm", 1), ("search", 1)]
    assert query(home, BY_FEED) == before
    found = set(named(findings(home)))
    assert maintain(kept).refused
    assert query(home, BY_FEED) == [("qm", 20), ("search", 20)]
    assert set(named(findings(home))) == found
    # With the ledger in doubt, nothing goes.
    change(home, "update quality.integrity_ledger set duplicate = 0 where sequence = 1")
    assert maintain(kept).retention.due == []


def test_an_upkeep_killed_before_the_raw_files_are_gone(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    kept = _keeping(home, "search=30d")
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


def test_the_daily_upkeep_fails_where_something_stayed(home: Settings) -> None:
    change(home, f"delete from {FACT} where event_id = 'search-0-3'")
    schedule = build_upkeep(_keeping(home, "search=30d"))
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    done = schedule.job.execute_in_process(raise_on_error=False)
    assert not done.success
    assert query(home, BY_FEED) == [("qm", 40), ("search", 19)]


def test_what_has_no_entry_yet_stays_until_it_has(home: Settings) -> None:
    kept = _keeping(home, "search=30d")
    change(home, "drop table quality.integrity_ledger", "alter table quality.feed_delivery drop column raw_sha256")
    assert len(preview(kept).retention.unrecorded) == 2
    done = maintain(kept)
    assert (done.retention.due, len(done.retention.unrecorded), done.refused) == ([], 2, False)
    with Workbench(home, "adopt").connect() as connection:
        assert adopt(connection, home.raw_dir, naive(HOUR)) == 4
    assert len(maintain(kept).retention.due) == 2
    assert [entry.kind for entry in entries(home)] == ["adopted"] * 4 + ["deletion"] * 2
    assert findings(home) == []


def test_a_hold_keeps_what_it_covers_and_its_release_lets_it_go(home: Settings) -> None:
    kept = _keeping(home, "30d")
    pages = home.raw_dir / "pages/cxone/2026-05-01/11"
    pages.mkdir(parents=True)
    for name in ("a.parquet", "sealed.json"):
        (pages / name).touch()
    period = ("--from", EARLIER, "--to", "2026-05-01T10:30Z")
    done = audit(home, "hold", "place", "--application", "search", *period, "--reason", "matter 7", "--by", "counsel")
    assert "is placed on Search, 2026-04-20T09:00:00Z to 2026-05-01T10:30:00Z." in done.stdout
    (held,) = json.loads(CliRunner().invoke(hold, ["list", "--output", "json"], obj=home).output)
    assert (held["stands"], held["application"], held["reason"]) == (True, "Search", "matter 7")
    # Its own hour, and those of the other feed that have an event of the application and the period.
    hours = [("qm", 10), ("search", 10), ("qm", 11)]
    assert [(hour.feed, hour.feed_hour_utc.hour) for hour in preview(kept).retention.held] == hours
    assert {hour.holds for hour in maintain(kept).retention.held} == {(held["hold_id"],)}
    assert query(home, BY_FEED) == [("qm", 40), ("search", 20)]
    assert (pages / "a.parquet").exists()
    assert findings(home) == []

    shown = CliRunner().invoke(maintain_command, ["--dry-run"], obj=kept).output
    assert "Kept by a legal hold" in shown
    assert held["hold_id"] in shown
    copy = copied(home, home.home.with_name("tampered") / "home")
    change(copy, "delete from quality.legal_hold")
    assert named(findings(copy)) == [("hold", "missing")]
    assert maintain(_keeping(copy, "30d")).refused
    assert query(copy, BY_FEED) == [("qm", 40), ("search", 20)]
    change(home, "update quality.legal_hold set to_utc = from_utc + interval 1 hour")
    assert named(findings(home)) == [("hold", "changed")]
    change(home, "update quality.legal_hold set to_utc = '2026-05-01 10:30'")

    holds.release(home, held["hold_id"], "settled", "counsel")
    with pytest.raises(holds.HoldError, match="stands"):
        holds.release(home, held["hold_id"], "settled", "counsel")
    assert query(home, "select action, application, reason from quality.legal_hold order by recorded_at_utc") == [
        ("placed", "Search", "matter 7"), ("released", "Search", "settled"),
    ]  # fmt: skip
    maintain(kept)
    assert query(home, BY_FEED) == []
    # That the hour is sealed is kept in mind, so that the API is not asked for it again.
    assert [path.name for path in pages.iterdir()] == ["sealed.json"]
    assert findings(home) == []
    change(home, "insert into quality.legal_hold by name select * replace ('x' as hold_id) from quality.legal_hold")
    assert named(findings(home)) == [("hold", "added")] * 2


def test_holds_that_cannot_be(home: Settings) -> None:
    empty = home.model_copy(update={"home": home.home.with_name("empty")})
    with pytest.raises(lake.NothingPublishedError):
        holds.place(empty, "all", HOUR, HOUR + timedelta(hours=1), "r", "b")
    with pytest.raises(holds.HoldError, match="'nobody' is no application"):
        holds.place(home, "nobody", HOUR, HOUR + timedelta(hours=1), "r", "b")
    row, warning = holds.place(home, "ALL", HOUR, HOUR + timedelta(hours=1), "r", "b")
    assert (row.application, warning) == ("all", None)
    assert [(hour.feed, hour.feed_hour_utc.hour) for hour in preview(_keeping(home, "30d")).retention.held] == [
        ("qm", 10), ("search", 10),
    ]  # fmt: skip
