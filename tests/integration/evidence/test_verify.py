"""What verify says of a home that nobody tampered with, how much it reads, and how a stranger finds the same."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from activity_audit.evidence.verify import published_deliveries
from activity_audit.evidence.verify.verify import verify
from activity_audit.ingest.scratch import scratch
from activity_audit.pipeline.run import land_feeds
from activity_audit.raw.index import INDEX_NAME
from activity_audit.settings.core import Settings
from activity_audit.upkeep import compaction
from activity_audit.upkeep.maintenance import maintain
from activity_audit.warehouse import lake
from tests.integration.support import HOUR, audit, deliver, event, lines, query, run, said
from tests.integration.tampering import FACT, LEDGER, change, copied, entries, fact_files, findings, raw_file


@pytest.fixture
def published(integrity_home: Settings) -> Settings:
    return integrity_home


@pytest.fixture
def home(integrity_home: Settings, tmp_path: Path) -> Settings:
    return copied(integrity_home, tmp_path / "home")


def test_an_untouched_home_is_intact(published: Settings) -> None:
    # What was added after a head was kept does not make it wrong.
    first = entries(published)[0].entry_sha256.upper()
    report = json.loads(audit(published, "verify", "--expect-head", first, "--output", "json").stdout)
    head = json.loads(said(published, "ledger", "head", "--output", "json").stdout)
    assert report["intact"]
    assert report["findings"] == []
    assert report["checked"] == {
        "ledger entries": 4,
        "raw files": 4,
        "raw files that wait for a run": 0,
        "delivered files that are still there": 4,
        "batches": 4,
        "events": 80,
    }
    assert report["head"] == head
    assert head["sequence"] == 4


def test_reruns_and_compaction_leave_it_intact_and_disturb_no_reader(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = entries(home)
    files = fact_files(home)
    monkeypatch.setattr(compaction, "_ENOUGH", 2)
    everything = f"select count(*) from {FACT} union all select sum(accepted) from quality.feed_delivery"
    with lake.reader(home) as idle, lake.reader(home) as midway, lake.reader(home) as fresh:
        for reading in (idle, midway, fresh):
            assert reading.execute(everything).fetchall() == [(80,), (80,)]
        midway.execute("begin")
        midway.execute(f"select 1 from {FACT} limit 1").fetchall()
        fresh.execute("begin")
        report = maintain(home)
        assert report.counts["data files after"] < report.counts["data files before"]
        for reading in (idle, midway, fresh):
            assert reading.execute(everything).fetchall() == [(80,), (80,)]
    assert len(fact_files(home)) > len(files)
    assert findings(home) == []
    deliver(home, b"", feed="search", hour=2)
    run(home, 0, 3)
    assert findings(home, before[-1].entry_sha256) == []
    after = entries(home)
    assert after[: len(before)] == before
    # A delivery without records is in the ledger too, and a run that brought none is not.
    assert [(e.batch.feed, e.batch.deliveries, e.batch.accepted) for e in after[len(before) :]] == [("search", 1, 0)]


def test_a_delivery_that_waits_for_a_run_is_no_finding(home: Settings) -> None:
    deliver(home, lines([event("later")]), hour=3)
    window = (HOUR, HOUR + timedelta(hours=4))
    land_feeds(home, ["search"], window)
    report = verify(home)
    assert report.findings == []
    assert report.counts["raw files that wait for a run"] == 1
    # Without the index nobody can tell; it is made again from the files.
    (home.raw_dir / INDEX_NAME).unlink()
    assert findings(home) == []


def test_a_file_that_a_pass_is_landing_is_no_finding(home: Settings) -> None:
    path = raw_file(home, "search", 10)
    change(home, *(f"delete from {table} where feed = 'search' and feed_hour_utc = '2026-05-01 10:00'"
                   for table in (FACT, "quality.feed_delivery", "quality.quarantined_event")))  # fmt: skip
    with sqlite3.connect(home.raw_dir / INDEX_NAME) as index:
        index.execute("delete from delivery where delivery_id = ?", [path.stem])
    assert ("raw", "added", str(path)) in [(f.layer, f.problem, f.what) for f in findings(home)]
    with scratch(home.raw_dir, lambda: None):
        assert "raw" not in [finding.layer for finding in findings(home)]


def test_only_the_window_is_checked_and_always_the_whole_chain(home: Settings) -> None:
    change(home, "delete from quality.quarantined_event where feed_hour_utc = '2026-05-01 10:00'")
    raw_file(home, "search", 10).unlink()
    (home.raw_dir / "search/2026-05-01/10/0.parquet").touch()
    assert len(findings(home)) == 4
    done = said(home, "verify", "--from", "2026-05-01T11:00Z", "--to", "2026-05-02", "--output", "json")
    assert json.loads(done.stdout)["checked"]["batches"] == 2
    assert json.loads(done.stdout)["checked"]["ledger entries"] == 4
    change(home, f"update {LEDGER} set duplicate = 0 where sequence = 1")
    later = (HOUR + timedelta(hours=1), HOUR + timedelta(hours=2))
    assert [finding.what for finding in verify(home, later).findings] == ["entry 1"]


def test_slices_find_what_everything_at_once_does(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    change(home, f"delete from {FACT} where event_id = 'qm-0-4'", "delete from quality.feed_delivery where feed = 'qm'")
    raw_file(home, "search", 10).unlink()
    raw_file(home, "search", 11).with_name("notes.txt").touch()
    (home.raw_dir / "search/notes.txt").touch()
    deliver(home, lines([event("later")]), hour=3)
    land_feeds(home, ["search"], (HOUR, HOUR + timedelta(hours=4)))
    before = verify(home)
    assert {finding.layer for finding in before.findings} >= {"raw", "delivery", "fact"}
    monkeypatch.setattr(published_deliveries, "_AT_A_TIME", 1)
    monkeypatch.setattr("activity_audit.evidence.verify.check_slices._EVENTS_AT_A_TIME", 5)
    after = verify(home.model_copy(update={"workers": 5}))
    assert after.counts == before.counts
    assert set(after.findings) == set(before.findings)


def test_a_delivered_file_that_changed_since_is_a_warning(published: Settings) -> None:
    path = Path(published.feed_root) / "qm" / f"{HOUR:%Y-%m-%d/%H}" / "a.ndjson"
    content = path.read_bytes()
    path.write_bytes(content + b"{}\n")
    try:
        report = verify(published)
    finally:
        path.write_bytes(content)
    (found,) = report.findings
    assert (found.layer, found.problem, found.severity, found.what) == ("landing", "changed", "warning", str(path))
    assert report.intact


def test_a_stranger_can_recompute_it_all(published: Settings) -> None:
    """With what docs/integrity.md and docs/warehouse.md say, and SQL, sort and sha256sum."""
    documents = Path(__file__).parents[3] / "docs"
    integrity, tables = ((documents / name).read_text(encoding="utf-8") for name in ("integrity.md", "warehouse.md"))
    (chain_sql,) = re.findall(r"^```sql\n(.*?)^```", integrity, re.MULTILINE | re.DOTALL)
    (hash_sql,) = re.findall(r"^```sql\n(select event_id, sha256.*?)^```", tables, re.MULTILINE | re.DOTALL)
    assert query(published, chain_sql) == []
    broken = chain_sql.replace("quality.integrity_ledger", f"(select * replace (3 - 1 as received) from {LEDGER})")
    assert query(published, broken) == [(1,), (2,), (3,), (4,)]
    for entry in entries(published):
        feed, hour, run_id = entry.batch.key
        batch = f"where feed = '{feed}' and feed_hour_utc = '{hour}' and run_id = '{run_id}'"
        listed = "".join(f"{row[0]}\n" for row in query(published, f"select record_sha256 from ({hash_sql} {batch})"))
        command = "LC_ALL=C sort | sha256sum"
        sort = subprocess.run(command, shell=True, input=listed, capture_output=True, text=True, check=True)
        assert sort.stdout.split()[0] == entry.batch.events_sha256
        raw = raw_file(published, feed, hour.hour)
        done = subprocess.run(["sha256sum", str(raw)], capture_output=True, text=True, check=True)
        assert query(published, f"select delivery_id, raw_sha256 from quality.feed_delivery {batch}") == [
            (raw.stem, done.stdout.split()[0])
        ]


def test_a_hash_that_is_none_is_wrong_usage(published: Settings) -> None:
    done = said(published, "verify", "--expect-head", "abc", exit_code=2)
    assert "64 hexadecimal digits" in done.stderr
