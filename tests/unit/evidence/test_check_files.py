"""The check of the files: each file is looked at once, and what is in memory does not grow with their number."""

from __future__ import annotations

import hashlib
import tracemalloc
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from activity_audit.evidence.verify import published_deliveries
from activity_audit.evidence.verify.check_files import check_files
from activity_audit.evidence.verify.raw_folders import all_days, files_elsewhere, files_of_hours
from activity_audit.ledger.slices import slices
from activity_audit.raw.lake import local_lake
from activity_audit.raw.store import LocalStore

_HOUR = datetime(2026, 5, 1, 22)  # noqa: DTZ001
_CONTENT = b"a raw file"
_TEN_IN_AN_HOUR = 10


def _published(raw_dir: Path, number: int) -> duckdb.DuckDBPyConnection:
    """A warehouse with so many deliveries, and their raw files."""
    connection = duckdb.connect()
    connection.execute("attach ':memory:' as audit; create schema audit.quality")
    connection.execute(
        """
        create table audit.quality.feed_delivery as select
            md5(cast(n as varchar)) as delivery_id, 'search' as feed,
            cast($hour as timestamp) + to_hours(cast(n // $of_hour as integer)) as feed_hour_utc, 'run' as run_id,
            'events-' || n || '.ndjson' as name, 'file:///gone/' || n as source_uri, sha256('x') as sha256,
            1 as received, $sha256 as raw_sha256
        from range($number) t(n)
        """,
        {"hour": _HOUR, "of_hour": _TEN_IN_AN_HOUR, "number": number, "sha256": hashlib.sha256(_CONTENT).hexdigest()},
    )
    connection.execute("""
        create table audit.quality.integrity_ledger (
            sequence bigint, kind varchar, feed varchar, feed_hour_utc timestamp, run_id varchar, deliveries bigint,
            received bigint, accepted bigint, duplicate bigint, quarantined bigint, events_sha256 varchar,
            deliveries_sha256 varchar, quarantined_sha256 varchar, recorded_at_utc timestamp, previous_sha256 varchar,
            entry_sha256 varchar
        )
    """)
    for delivery in published_deliveries.published(connection, "true"):
        path = raw_dir / delivery.raw_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_CONTENT)
    return connection


def _peak(home: Path, number: int) -> int:
    """The peak of Python's memory, in bytes, while so many files are checked."""
    raw = local_lake(home)
    peaks = []
    with _published(home, number) as connection:
        # Once in a while Python enlarges a table of its own by megabytes, but not twice running.
        for _ in range(2):
            tracemalloc.start()
            try:
                state = check_files(connection, raw, "s3://feeds", (None, None), None)
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
            assert (state.hashed, state.findings, state.damaged) == (number, [], set())
    return min(peaks)


def test_memory_does_not_grow_with_the_deliveries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_deliveries, "_AT_A_TIME", 100)
    few, many = 300, 1500
    growth = (_peak(tmp_path / "many", many) - _peak(tmp_path / "few", few)) / (many - few)
    # All at once, it is some 900 bytes of each; what is left is a buffer of each thread.
    assert growth < 400


def test_slices_of_hours_and_what_is_in_none_are_every_file_once(tmp_path: Path) -> None:
    inside = [
        f"{feed}/{_HOUR + timedelta(hours=hour):%Y-%m-%d/%H}/{name}"
        for hour in range(5)
        for feed in ("qm", "search")
        for name in ("a.parquet", "deeper/b.parquet")
    ]
    # A file where the folder of an hour should be is of that hour.
    inside.append("bi/2026-05-02/00")
    outside = [
        "notes.txt", "search/notes.txt", "search/2026-05-02/notes.txt", "search/2026-05-02/24/a",
        "search/2026-05-02/1/a", "search/2026-13-01/10/a", "search/2026-05-02x/10/a", "search/2026-05-02/10x/a",
        "search/2026-W18-5/10/a",
    ]  # fmt: skip
    left_out = ["index.sqlite", "sweeps.json", "pages/api/2026-05-01/22/a.parquet", ".work/a", "qm/2026-05-01/22/.b"]
    for path in [*inside, *outside, *left_out]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    store = LocalStore(tmp_path)
    days = all_days(store)
    hours = [(_HOUR + timedelta(hours=hour), 1) for hour in (0, 1, 3)]
    for most in (1, 2, 9):
        parts = slices(hours, most=most)
        found = [path for part in parts for path in files_of_hours(store, days, part)]
        assert sorted(found) == sorted(inside)
    assert sorted(files_elsewhere(store)) == sorted(outside)
    window = (_HOUR + timedelta(hours=1), _HOUR + timedelta(hours=3))
    assert list(files_of_hours(store, days, window)) == [
        path for path in sorted(inside) if "/23/" in path or "02/00" in path
    ]
