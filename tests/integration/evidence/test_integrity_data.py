"""Tampering with a published home's raw files, events and tables of quality, and what verify says of it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from activity_audit.dbt_runner import project
from activity_audit.evidence.verify.verify import verify
from activity_audit.raw.files import SWEEPS
from activity_audit.settings.core import Settings
from activity_audit.warehouse import lake
from tests.integration.tampering import FACT, change, copied, edit_column, fact_files, findings, flip, named, raw_file


@pytest.fixture
def home(integrity_home: Settings, tmp_path: Path) -> Settings:
    return copied(integrity_home, tmp_path / "home")


def test_raw_files_with_a_flipped_bit_and_an_edited_record_and_one_that_is_gone(home: Settings) -> None:
    flipped, edited, gone = (raw_file(home, *one) for one in (("search", 10), ("qm", 11), ("qm", 10)))
    flip(flipped, flipped.stat().st_size // 2)
    edit_column(edited, "record", "comment 7", "comment 8")
    gone.unlink()
    found = {finding.what: finding for finding in findings(home)}
    assert {what: (one.layer, one.problem) for what, one in found.items()} == {
        str(flipped): ("raw", "changed"),
        str(edited): ("raw", "changed"),
        str(gone): ("raw", "missing"),
    }
    assert "it still has 22 records" in found[str(edited)].detail


def test_raw_files_that_were_added(home: Settings) -> None:
    path = raw_file(home, "search", 10)
    copy = path.with_name(f"{'0' * 32}.parquet")
    copy.write_bytes(path.read_bytes())
    odd = home.raw_dir / "search" / "notes.parquet"
    odd.write_bytes(b"no Parquet")
    found = findings(home)
    assert named(found) == [("raw", "added")] * 2
    assert {finding.what for finding in found} == {str(copy), str(odd)}


def test_an_event_changed_inside_a_data_file(home: Settings) -> None:
    path = fact_files(home)[0]
    edit_column(path, "comments", "comment 7", "comment 8")
    report = verify(home)
    found = report.findings
    assert ("fact", "changed", str(path)) in [(f.layer, f.problem, f.what) for f in found]
    named_events = {finding.detail.rsplit(": ")[-1] for finding in found if " run " in finding.what}
    assert named_events in ({"search-0-7", "qm-0-7"}, {"search-1-7", "qm-1-7"})
    # What is in other files is checked all the same.
    assert report.counts["batches"] == 2


def test_an_event_without_a_feed_hour(home: Settings) -> None:
    change(
        home,
        f"alter table {FACT} alter feed_hour_utc drop not null",
        f"insert into {FACT} select * replace (event_id || '-forged' as event_id, null as feed_hour_utc) from {FACT} "
        "where feed = 'qm' and feed_hour_utc = timestamp '2026-05-01 10:00'",
    )
    (found,) = findings(home)
    assert (found.layer, found.problem, found.what) == ("fact", "added", "main.fact_activity_event")
    assert "20 of its" in found.detail
    assert "20 have no feed hour" in found.detail


def test_events_of_which_the_catalog_says_that_they_are_of_another_hour(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lake.reader(home) as connection:
        before = {path for path, _ in lake.data_files(connection, "main", FACT)}
    change(
        home,
        f"insert into {FACT} select * replace (event_id || '-forged' as event_id) from {FACT} "
        "where feed = 'qm' and feed_hour_utc = timestamp '2026-05-01 11:00'",
    )
    with lake.reader(home) as connection:
        ((forged, _),) = [file for file in lake.data_files(connection, "main", FACT) if file[0] not in before]
    catalog = lake.location(home).catalog_file
    assert catalog is not None
    with sqlite3.connect(catalog) as database:
        done = database.execute(
            """
            update ducklake_file_column_stats
            set min_value = '2026-05-01 10:00:00', max_value = '2026-05-01 10:00:00'
            where
                data_file_id = (select data_file_id from ducklake_data_file where ? like '%' || path)
                and column_id in (select column_id from ducklake_column where column_name = 'feed_hour_utc')
                and min_value = '2026-05-01 11:00:00'
            """,
            [forged],
        )
        assert done.rowcount == 1
    # As of a history that takes more than one slice.
    monkeypatch.setattr("activity_audit.evidence.verify.check_slices._EVENTS_AT_A_TIME", 2)
    found = findings(home)
    assert ("fact", "added", "main.fact_activity_event") in [(f.layer, f.problem, f.what) for f in found]


def test_what_lies_at_the_top_of_the_raw_lake_beside_deliveries(home: Settings) -> None:
    (home.raw_dir / SWEEPS).write_text("{}")
    assert findings(home) == []


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
        raise project.TransformError("dbt build failed")

    change(home, f"delete from {FACT} where event_id = 'qm-0-4'")
    monkeypatch.setattr(project, "build", fails)
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
    wrong = [finding for finding in findings(home) if finding.layer == "fact"]
    (doubled,) = [finding for finding in wrong if finding.what == "1 event ids"]
    assert "search-1-6 (2 times: search 2026-05-01T11:00Z run " in doubled.detail
    wrong.remove(doubled)
    assert {(f.problem, f.what.split(" run ")[0], f.detail.rsplit(": ")[-1]) for f in wrong} == {
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


_OF_AN_HOUR = "where feed = 'qm' and feed_hour_utc = '2026-05-01 10:00'"


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([f"update quality.feed_reconciliation set accepted = 19 {_OF_AN_HOUR}",
          f"update quality.feed_delivery set name = 'b.ndjson' {_OF_AN_HOUR}",
          f"update quality.quarantined_event set record = 'tidied' {_OF_AN_HOUR}"],
         [("delivery", "changed"), ("quarantine", "changed"), ("reconciliation", "changed")]),
        ([f"delete from quality.feed_reconciliation {_OF_AN_HOUR}",
          f"delete from quality.quarantined_event {_OF_AN_HOUR}"],
         [("quarantine", "missing"), ("reconciliation", "missing")]),
        # Only a replay resolves a record.
        ([f"delete from quality.feed_delivery {_OF_AN_HOUR}",
          f"update quality.quarantined_event set resolved_at_utc = now()::timestamp {_OF_AN_HOUR}"],
         [("delivery", "missing"), ("fact", "changed"), ("quarantine", "changed"), ("reconciliation", "added")]),
    ],
)  # fmt: skip
def test_quality_tables(home: Settings, statements: list[str], expected: list[tuple[str, str]]) -> None:
    change(home, *statements)
    found = findings(home)
    assert sorted({pair for pair in named(found) if pair[0] != "raw"}) == expected
    assert all(finding.what.startswith(("qm 2026-05-01T10:00Z", str(home.raw_dir / "qm"))) for finding in found)
