"""Tampering with each layer of a published home, and what verify says of it."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration import compaction, lake, transform
from orchestration.feeds.raw_index import INDEX_NAME
from orchestration.feeds.scratch import scratch
from orchestration.hours import naive, now_utc
from orchestration.integrity import chain, ledger
from orchestration.integrity.adoption import adopt
from orchestration.integrity.head import keep
from orchestration.integrity.verify import NoLedgerError, verify
from orchestration.known_ids import event_id_key
from orchestration.maintenance import maintain
from orchestration.pipeline import land_feeds
from orchestration.settings import Settings, load_settings
from orchestration.status import status
from orchestration.workbench import Workbench
from tests.integration.support import AUDIT, HOUR, audit, deliver, event, lines, process_environment, query, run
from tests.integration.tampering import (
    change,
    copied,
    edit_column,
    entries,
    fact_files,
    findings,
    flip,
    named,
    raw_file,
    warehouse,
)

FACT = "fact_activity_event"
LEDGER = "quality.integrity_ledger"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two feeds and two hours, each hour published by a run of its own; the tests work on copies of it."""
    folder = tmp_path_factory.mktemp("integrity")
    settings = load_settings(home=folder / "home", feed_url=str(folder / "landing"), applications="search,qm")
    for hour in range(2):
        for feed in ("search", "qm"):
            # More rows than DuckLake keeps in its catalog, so that there are Parquet files.
            records = [event(f"{feed}-{hour}-{n}", comments=f"comment {n}") for n in range(20)]
            deliver(settings, lines([*records, records[0], "junk"]), feed=feed, hour=hour)
        run(settings, hour)
    return settings


@pytest.fixture
def home(published: Settings, tmp_path: Path) -> Settings:
    return copied(published, tmp_path / "home")


def test_an_untouched_home_is_intact(published: Settings) -> None:
    # What was added after a head was kept does not make it wrong.
    first = entries(published)[0].entry_sha256.upper()
    report = json.loads(audit(published, "verify", "--expect-head", first, "--output", "json").stdout)
    head = json.loads(audit(published, "ledger", "head", "--output", "json").stdout)
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


def test_reruns_and_compaction_leave_it_intact(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    before = entries(home)
    files = fact_files(home)
    monkeypatch.setattr(compaction, "_ENOUGH", 2)
    maintain(home)
    assert len(fact_files(home)) > len(files)
    assert findings(home) == []
    deliver(home, b"", feed="search", hour=2)
    run(home, 0, 3)
    assert findings(home, before[-1].entry_sha256) == []
    after = entries(home)
    assert after[: len(before)] == before
    # A delivery without records is in the ledger too, and a run that brought none is not.
    assert [(e.batch.feed, e.batch.deliveries, e.batch.accepted) for e in after[len(before) :]] == [("search", 1, 0)]


def test_a_raw_file_with_a_flipped_bit(home: Settings) -> None:
    path = raw_file(home, "search", 10)
    flip(path, path.stat().st_size // 2)
    (found,) = findings(home)
    assert (found.layer, found.problem, found.what) == ("raw", "changed", str(path))


def test_a_raw_record_that_was_edited(home: Settings) -> None:
    path = raw_file(home, "qm", 11)
    edit_column(path, "record", "comment 7", "comment 8")
    (found,) = findings(home)
    assert (found.layer, found.problem, found.what) == ("raw", "changed", str(path))
    assert "it still has 22 records" in found.detail


def test_a_raw_file_that_is_gone(home: Settings) -> None:
    path = raw_file(home, "search", 10)
    path.unlink()
    (found,) = findings(home)
    assert (found.layer, found.problem, found.what) == ("raw", "missing", str(path))


def test_raw_files_that_were_added(home: Settings) -> None:
    path = raw_file(home, "search", 10)
    copy = path.with_name(f"{'0' * 32}.parquet")
    copy.write_bytes(path.read_bytes())
    odd = home.raw_dir / "search" / "notes.parquet"
    odd.write_bytes(b"no Parquet")
    found = findings(home)
    assert named(found) == [("raw", "added")] * 2
    assert {finding.what for finding in found} == {str(copy), str(odd)}


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


def test_an_event_changed_inside_a_data_file(home: Settings) -> None:
    path = fact_files(home)[0]
    edit_column(path, "comments", "comment 7", "comment 8")
    found = findings(home)
    assert ("fact", "changed", str(path)) in [(f.layer, f.problem, f.what) for f in found]
    named_events = {finding.detail.rsplit(": ")[-1] for finding in found if " run " in finding.what}
    assert named_events in ({"search-0-7", "qm-0-7"}, {"search-1-7", "qm-1-7"})
    # What is in other files is checked all the same.
    assert verify(home).counts["batches"] == 2


def test_data_files_that_are_damaged_or_gone(home: Settings) -> None:
    (later,) = (path for path in fact_files(home) if "qm-1-0" in pq.read_table(path)["event_id"].to_pylist())
    change(home, f"delete from {FACT} where event_id = 'qm-0-4'")
    later.unlink()
    found = findings(home)
    assert ("fact", "missing", str(later)) in [(f.layer, f.problem, f.what) for f in found]
    # The batches that do not need the file are compared all the same.
    assert [f.problem for f in found if f.what.startswith("qm 2026-05-01T10:00Z")] == ["missing"]
    pq.write_table(pa.table({"other": [1]}), later)
    assert ("fact", "changed", str(later)) in [(f.layer, f.problem, f.what) for f in findings(home)]
    later.write_bytes(b"PAR1 and no more")
    assert ("fact", "unreadable", str(later)) in [(f.layer, f.problem, f.what) for f in findings(home)]


def test_a_batch_is_named_where_its_events_cannot_be(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise transform.TransformError("dbt build failed")

    change(home, f"delete from {FACT} where event_id = 'qm-0-4'")
    monkeypatch.setattr(transform, "build", fails)
    missing, why = findings(home)
    assert (missing.layer, missing.problem, missing.severity) == ("fact", "missing", "error")
    assert (why.what, why.severity) == ("event ids", "warning")


def test_events_changed_deleted_and_added(home: Settings) -> None:
    change(
        home,
        f"update {FACT} set outcome = 'FAILURE' where event_id = 'search-0-3'",
        f"delete from {FACT} where event_id in ('qm-0-4', 'qm-0-5')",
        f"insert into {FACT} select * replace ('forged' as event_id) from {FACT} where event_id = 'qm-1-0'",
        f"insert into {FACT} select * from {FACT} where event_id = 'search-1-6'",
        f"insert into {FACT} select * replace ('alien' as event_id, 'never' as run_id) from {FACT} "
        "where event_id = 'qm-1-1'",
    )
    found = {
        (f.problem, f.what.split(" run ")[0], f.detail.rsplit(": ")[-1]) for f in findings(home) if f.layer == "fact"
    }
    assert found == {
        ("changed", "search 2026-05-01T10:00Z", "search-0-3"),
        ("missing", "qm 2026-05-01T10:00Z", "qm-0-4, qm-0-5"),
        ("added", "qm 2026-05-01T11:00Z", "forged"),
        ("added", "search 2026-05-01T11:00Z", "search-1-6"),
        ("added", "qm 2026-05-01T11:00Z", "1 events of a batch that was never published"),
    }


def test_where_an_event_says_it_is_from(home: Settings) -> None:
    change(
        home,
        f"update {FACT} set source_uri = 'file:///elsewhere' where event_id = 'search-0-3'",
        f"update {FACT} set source_record = 99 where event_id = 'qm-0-3'",
        f"update {FACT} set event_hour_utc = '2026-05-01 09:00' where event_id = 'qm-1-3'",
    )
    found = findings(home)
    assert named(found) == [("fact", "changed")] * 3
    assert [finding.what.split(" run ")[0] for finding in found] == [
        "qm 2026-05-01T10:00Z",
        "qm 2026-05-01T11:00Z",
        "search 2026-05-01T10:00Z",
    ]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("update quality.feed_reconciliation set accepted = 19 where feed = 'qm' and accepted = 20 and "
         "feed_hour_utc = '2026-05-01 10:00'", {("reconciliation", "changed")}),
        ("delete from quality.feed_reconciliation where feed = 'qm' and feed_hour_utc = '2026-05-01 10:00'",
         {("reconciliation", "missing")}),
        ("update quality.feed_delivery set name = 'b.ndjson' where feed = 'qm' and feed_hour_utc = '2026-05-01 10:00'",
         {("delivery", "changed")}),
        ("delete from quality.feed_delivery where feed = 'qm' and feed_hour_utc = '2026-05-01 10:00'",
         {("delivery", "missing"), ("reconciliation", "added"), ("fact", "changed")}),
        ("update quality.quarantined_event set record = 'tidied' where feed = 'qm' and "
         "feed_hour_utc = '2026-05-01 10:00'", {("quarantine", "changed")}),
        ("delete from quality.quarantined_event where feed = 'qm' and feed_hour_utc = '2026-05-01 10:00'",
         {("quarantine", "missing")}),
        # Only a replay resolves a record.
        ("update quality.quarantined_event set resolved_at_utc = now()::timestamp where feed = 'qm' and "
         "feed_hour_utc = '2026-05-01 10:00'", {("quarantine", "changed")}),
    ],
)  # fmt: skip
def test_quality_tables(home: Settings, statement: str, expected: set[tuple[str, str]]) -> None:
    change(home, statement)
    found = findings(home)
    assert {pair for pair in named(found) if pair[0] != "raw"} == expected
    assert all(finding.what.startswith(("qm 2026-05-01T10:00Z", str(home.raw_dir / "qm"))) for finding in found)


def test_a_ledger_entry_that_was_edited(home: Settings) -> None:
    change(home, f"update {LEDGER} set accepted = 19 where sequence = 2")
    (found,) = findings(home)
    assert (found.layer, found.problem, found.what) == ("ledger", "changed", "entry 2")


def test_a_ledger_entry_that_was_edited_and_hashed_again(home: Settings) -> None:
    entry = entries(home)[1]
    text = chain.entry_text(2, "batch", entry.batch, entry.recorded_at_utc + timedelta(hours=1))
    own = chain.entry_sha256(entry.previous_sha256, text)
    change(
        home,
        f"update {LEDGER} set recorded_at_utc = recorded_at_utc + interval 1 hour, entry_sha256 = '{own}' "
        "where sequence = 2",
    )
    (found,) = findings(home)
    assert (found.layer, found.problem, found.what) == ("ledger", "changed", "entry 3")
    assert "it follows another entry than the 2 that is there" in found.detail


def test_a_ledger_entry_removed_in_the_middle(home: Settings) -> None:
    batch = entries(home)[1].batch
    change(home, f"delete from {LEDGER} where sequence = 2")
    found = findings(home)
    assert [(f.layer, f.problem, f.what) for f in found] == [
        ("ledger", "missing", "entry 2"),
        ("ledger", "missing", f"{batch.feed} {batch.feed_hour_utc:%Y-%m-%dT%H:%MZ} run {batch.run_id}"),
    ]


def test_a_ledger_cut_off_with_all_that_it_vouched_for(home: Settings) -> None:
    """Whoever removes a whole run with its traces is told by the head that was kept, and by nothing else."""
    kept = entries(home)[-1]
    change(home, f"delete from {LEDGER} where run_id = '{kept.batch.run_id}'")
    assert named(findings(home)) == [("ledger", "missing")] * 2
    later = "feed_hour_utc >= '2026-05-01 11:00'"
    tables = (FACT, "quality.feed_delivery", "quality.quarantined_event", "quality.feed_reconciliation")
    keys = f"select {event_id_key()} from {FACT} where {later}"
    change(home, f"delete from quality.known_event_id where event_id_key in ({keys})",
           *(f"delete from {table} where {later}" for table in tables))  # fmt: skip
    for feed in ("search", "qm"):
        raw_file(home, feed, 11).unlink()
    assert findings(home) == []
    (found,) = findings(home, kept.entry_sha256)
    assert (found.layer, found.problem) == ("ledger", "missing")
    assert kept.entry_sha256 in found.detail
    done = audit(home, "verify", "--expect-head", kept.entry_sha256, check=False)
    assert done.returncode == 1
    assert "NOT INTACT" in done.stdout


def test_a_ledger_written_anew(home: Settings) -> None:
    kept = entries(home)
    forged = chain.append(None, "batch", [kept[1].batch, kept[0].batch, *(e.batch for e in kept[2:])],
                          kept[-1].recorded_at_utc)  # fmt: skip
    change(home, f"delete from {LEDGER}")
    with warehouse(home) as connection:
        ledger.insert(connection, f"audit.{LEDGER}", forged)
    assert findings(home) == []
    assert named(findings(home, kept[-1].entry_sha256)) == [("ledger", "missing")]


def test_only_the_window_is_checked_and_always_the_whole_chain(home: Settings) -> None:
    change(home, "delete from quality.quarantined_event where feed_hour_utc = '2026-05-01 10:00'")
    raw_file(home, "search", 10).unlink()
    (home.raw_dir / "search/2026-05-01/10/0.parquet").touch()
    assert len(findings(home)) == 4
    done = audit(home, "verify", "--from", "2026-05-01T11:00Z", "--to", "2026-05-02", "--output", "json")
    assert json.loads(done.stdout)["checked"]["batches"] == 2
    assert json.loads(done.stdout)["checked"]["ledger entries"] == 4
    change(home, f"update {LEDGER} set duplicate = 0 where sequence = 1")
    later = (HOUR + timedelta(hours=1), HOUR + timedelta(hours=2))
    assert [finding.what for finding in verify(home, later).findings] == ["entry 1"]


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


def test_what_an_earlier_release_published_is_adopted_once(home: Settings) -> None:
    change(home, f"drop table {LEDGER}", "alter table quality.feed_delivery drop column raw_sha256")
    raw_file(home, "qm", 10).unlink()
    done = audit(home, "ledger", "head", check=False)
    assert done.returncode == 1
    assert "the warehouse has no ledger" in done.stderr
    with pytest.raises(NoLedgerError):
        verify(home)
    run(home)
    adopted = entries(home)
    assert [entry.kind for entry in adopted] == ["adopted"] * 4
    assert findings(home) == []
    # A batch whose entry was removed is no old one, and stays a finding.
    change(home, f"delete from {LEDGER} where sequence = 4")
    with Workbench(home, "again").connect() as connection:
        assert adopt(connection, home.raw_dir, naive(HOUR)) == 0
    assert len(entries(home)) == 3
    assert named(findings(home)) == [("ledger", "missing")]


@pytest.mark.slow
def test_a_run_keeps_the_head_outside_and_verify_may_watch_it(home: Settings, tmp_path: Path) -> None:
    heads = tmp_path / "mount" / "heads"
    kept = home.model_copy(update={"ledger_head_file": heads})
    deliver(home, lines([event("one")]), name="one.ndjson", hour=4)
    process = subprocess.Popen([AUDIT, "run"], env=process_environment(home, AUDIT_LEDGER_HEAD_FILE=str(heads)),
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    # Whatever the run is about, verify has nothing to say.
    found = [findings(home)]
    while process.poll() is None:
        time.sleep(1)
        found.append(findings(home))
    assert found == [[]] * len(found)
    assert len(found) > 3
    assert "warning: the head of the ledger, entry 5" in process.communicate()[0]
    assert any("is not in AUDIT_LEDGER_HEAD_FILE" in sentence for sentence in status(kept)["broken"])
    heads.parent.mkdir()
    heads.write_text("4 cut of")
    for _ in range(2):
        with lake.reader(kept) as connection:
            assert keep(connection, kept) is None
    newest = entries(home)[-1]
    head = f"5 {newest.entry_sha256} {newest.recorded_at_utc.isoformat()}Z {newest.batch.run_id}"
    assert heads.read_text() == f"4 cut of\n{head}\n"
    assert not any("AUDIT_LEDGER_HEAD_FILE" in sentence for sentence in status(kept)["broken"])
    change(home, f"delete from {LEDGER} where sequence = 5")
    found = findings(kept)
    assert any(newest.entry_sha256 in finding.detail for finding in found)
    assert [finding.what for finding in found if finding.severity == "warning"] == [f"{heads} line 1"]


def test_a_stranger_can_recompute_it_all(published: Settings) -> None:
    """With what docs/integrity.md and docs/warehouse.md say, and SQL, sort and sha256sum."""
    documents = Path(__file__).parents[2] / "docs"
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


def test_heads_that_a_run_adds_meanwhile_are_no_finding(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = tmp_path / "heads"
    heads.write_text(f"4 {entries(home)[-1].entry_sha256} 2026-05-01T12:00:00Z run\n")
    begin = lake.reader

    @contextmanager
    def beside_a_run(*arguments: Any, **options: Any) -> Iterator[Any]:
        with begin(*arguments, **options) as connection:
            heads.write_text(f"{heads.read_text()}5 {'0' * 64} 2026-05-01T13:00:00Z run\n")
            yield connection

    monkeypatch.setattr(lake, "reader", beside_a_run)
    watched = home.model_copy(update={"ledger_head_file": heads})
    assert findings(watched) == []
    assert named(findings(watched)) == [("ledger", "missing")]


def test_a_hash_that_is_none_is_wrong_usage(published: Settings) -> None:
    done = audit(published, "verify", "--expect-head", "abc", check=False)
    assert done.returncode == 2
    assert "64 hexadecimal digits" in done.stderr


def test_the_time_of_an_entry_is_utc_wherever_the_run_is(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        deliver(settings, lines([event("a")]))
        before = naive(now_utc())
        run(settings)
        (recorded,) = query(settings, "select recorded_at_utc from quality.integrity_ledger")
        assert before <= recorded[0] <= naive(now_utc())
    finally:
        monkeypatch.undo()
        time.tzset()
