"""Exports that are stopped, that fail, or whose session ends: nothing of them stays, and the trail knows."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pytest

from activity_audit.base.hours import now_utc
from activity_audit.ingest.planning import plan
from activity_audit.pipeline.run import land_feeds
from activity_audit.raw.lake import local_lake
from activity_audit.report import periods
from activity_audit.report.access.permissions import User
from activity_audit.report.export import export as writing
from activity_audit.report.export.groups_file import GroupsAsked
from activity_audit.report.export.job import ExportRefusedError, Job, file_name
from activity_audit.report.export.jobs import ExportJobs
from activity_audit.report.export.layout import Layout
from activity_audit.report.queries.groups import GroupOrder
from activity_audit.report.queries.orders import FIELDS, Order
from activity_audit.report.queries.warehouse import Warehouse
from activity_audit.report.trail import Trail
from activity_audit.report.web.pages.export import fixed
from activity_audit.report.web.urls import State
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse.events.filters import Filters

MAY = Filters(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC))
CLARISSA = User("clarissa", frozenset({"export"}))


@pytest.fixture
def jobs(report_home: Settings, tmp_path: Path) -> Iterator[ExportJobs]:
    warehouse = Warehouse(report_home)
    running = ExportJobs(warehouse, tmp_path / "exports", 1_000_000)
    yield running
    running.close()
    warehouse.close()
    assert [path.name for path in (tmp_path / "exports").iterdir()] in ([], [".lock"])


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    return Trail(tmp_path / "own")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row of a file takes its time, so that there is something to stop."""

    class Slow(writing.FORMATS[".csv"]):  # type: ignore[misc]
        def write(self, batch: Any) -> None:
            time.sleep(0.05)
            super().write(batch)

    monkeypatch.setitem(writing.FORMATS, ".csv", Slow)
    monkeypatch.setattr("activity_audit.report.export.export._BATCH", 1)


def _wait(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def _said(tmp_path: Path) -> list[tuple[str, str]]:
    found = [json.loads(line) for path in (tmp_path / "own").rglob(".open.ndjson") for line in path.open()]
    return [(record["activity"], record["outcome"]) for record in found]


def _files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "exports").rglob("*") if path.is_file() and path.name != ".lock"]


@pytest.mark.usefixtures("slow")
def test_a_stopped_export_leaves_nothing(jobs: ExportJobs, trail: Trail, tmp_path: Path) -> None:
    job = jobs.start("s", CLARISSA, trail, MAY, ".csv")
    _wait(lambda: job.rows > 1)
    assert job.of == 100
    assert jobs.find("another", job.id) is None
    assert jobs.remove("another", job.id) is None
    jobs.remove("s", job.id)
    _wait(lambda: job.state == "stopped" and not _files(tmp_path))
    assert job.rows < 100
    assert jobs.find("s", job.id) is None
    _wait(lambda: _said(tmp_path) == [("Stopped", "SUCCESS")])


@pytest.mark.usefixtures("slow")
def test_what_ends_with_the_session(jobs: ExportJobs, trail: Trail, tmp_path: Path) -> None:
    done = jobs.start("s", CLARISSA, trail, MAY, ".parquet")
    _wait(lambda: done.state == "done")
    assert done.file in _files(tmp_path)
    begun = [jobs.start("s", CLARISSA, trail, MAY, ".csv") for _ in range(3)]
    with pytest.raises(ExportRefusedError, match="3 exports are in progress"):
        jobs.start("s", CLARISSA, trail, MAY, ".csv")
    with pytest.raises(ExportRefusedError, match="there is no format"):
        jobs.start("s", CLARISSA, trail, MAY, ".exe")
    jobs.end_session("s")
    _wait(lambda: all(job.state == "stopped" for job in begun) and not _files(tmp_path))
    assert jobs.of_session("s") == []


def test_an_export_that_breaks_because_it_was_stopped_is_stopped(report_home: Settings, tmp_path: Path) -> None:
    warehouse = Warehouse(report_home)
    for stop, state in ((False, "failed"), (True, "stopped")):
        job = Job("1", CLARISSA, MAY, ".csv", None, tmp_path / "no such folder" / "1")
        if stop:
            job.stop()
        job.run(warehouse, lambda _: None, now_utc, 60)
        assert (job.state, job.error is None) == (state, stop)
    warehouse.close()


def test_only_the_last_ones_are_kept(jobs: ExportJobs, trail: Trail, tmp_path: Path) -> None:
    made: list[Job] = []
    for _ in range(12):
        made.append(jobs.start("s", CLARISSA, trail, MAY, ".parquet"))
        _wait(lambda: made[-1].is_over)
    assert [job.id for job in jobs.of_session("s")] == [job.id for job in reversed(made[2:])]
    assert sorted(_files(tmp_path)) == sorted(job.file for job in made[2:])


def test_the_space_on_the_disk_is_bounded(report_home: Settings, trail: Trail, tmp_path: Path) -> None:
    warehouse = Warehouse(report_home)
    running = ExportJobs(warehouse, tmp_path / "exports", 1)
    job = running.start("s", CLARISSA, trail, MAY, ".csv")
    _wait(lambda: job.is_over)
    assert "AUDIT_REPORT_EXPORT_SPACE" in (job.error or "")
    _wait(lambda: not _files(tmp_path))
    _wait(lambda: _said(tmp_path) == [("Created", "FAILURE")])
    running.close()
    warehouse.close()


def test_what_cannot_be_put_on_record_is_not_handed_out(jobs: ExportJobs, trail: Trail, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("a file where the folder must be")
    job = jobs.start("s", CLARISSA, trail, MAY, ".parquet")
    _wait(lambda: job.is_over)
    assert (job.state, "cannot be recorded" in (job.error or "")) == ("failed", True)
    _wait(lambda: not _files(tmp_path))


def test_the_files_of_a_killed_server_are_removed(report_home: Settings, trail: Trail, tmp_path: Path) -> None:
    left = tmp_path / "exports" / "999999999-a_killed"
    left.mkdir(parents=True)
    (left / "old.csv").write_text("x")
    warehouse = Warehouse(report_home)
    servers = [ExportJobs(warehouse, tmp_path / "exports", 1_000_000) for _ in range(2)]
    made = [server.start("s", CLARISSA, trail, MAY, ".parquet") for server in servers]
    _wait(lambda: all(job.state == "done" for job in made))
    # That of the one that is running is left alone.
    assert sorted(_files(tmp_path)) == sorted(job.file for job in made)
    for server in servers:
        server.close()
    warehouse.close()


def test_groups_say_what_was_looked_at_and_no_title_runs_as_a_formula(jobs: ExportJobs, trail: Trail) -> None:
    asked = GroupsAsked("hour_of_day", GroupOrder("value", False), ("Hour of day (UTC)", "=c"), across="comments")
    for suffix, read in ((".parquet", pandas.read_parquet), (".csv", pandas.read_csv)):
        job = jobs.start("s", CLARISSA, trail, MAY, suffix, None, asked, Layout(link="http://x/groups?y"))
        _wait(lambda job=job: job.is_over)
        assert job.about
        assert job.about.as_dict()["link"] == "http://x/groups?y"
        assert "order" not in job.about.as_dict()
        table = read(job.file)
        assert sum(table["All"]) == 100
        assert set(table["Feed hours"]) > {"not looked at"}, "nothing is not the same as not known"
        crossed = list(table.columns)[1:-3]
        assert {title[:2] for title in crossed} == ({"=c"} if suffix == ".parquet" else {"'="})


def test_a_large_file_is_sorted_on_the_disk_and_can_be_stopped(tmp_path: Path) -> None:
    little = {"memory_limit": "60MB", "temp_directory": str(tmp_path / "spill"), "threads": 1}
    connection = duckdb.connect(config=little)
    connection.execute(f"attach '{tmp_path / 'events.duckdb'}' as audit")
    connection.execute("create schema if not exists audit.main")
    columns = ", ".join(
        f"repeat(md5(cast(i as varchar)), 5) as {field}" if field == "comments" else f"cast(i as varchar) as {field}"
        for field in FIELDS[1:]
    )
    connection.execute(
        f"create table audit.main.fact_activity_event as select timestamp '2026-05-02' as event_time_utc, {columns} "
        "from range(300000) as r (i)"
    )
    connection.execute("checkpoint audit")
    layout = Layout(("comments",), Order("comments", descending=True))
    before, spilt, texts = 0, 0, 0
    for batch in writing.batches(connection, MAY, layout):
        spilt = spilt or sum(path.stat().st_size for path in (tmp_path / "spill").rglob("*"))
        found = batch.column(0).to_pylist()
        assert found == sorted(found, reverse=True)
        texts += len(found)
        before = before or len(found)
    assert (texts, before < texts) == (300_000, True)
    assert spilt > 1_000_000
    threading.Timer(0.05, connection.interrupt).start()
    with pytest.raises((duckdb.InterruptException, OSError)):
        list(writing.batches(connection, MAY, layout))
    connection.close()


@pytest.mark.parametrize(
    ("applications", "name"),
    [
        ((), "activity-audit_2026-05-01_2026-05-31_snapshot-3.csv"),
        (("Search",), "activity-audit_Search_2026-05-01_2026-05-31_snapshot-3.csv"),
        (("Search", "SEARCH"), "activity-audit_Search_2026-05-01_2026-05-31_snapshot-3.csv"),
        (("Search", "User Hub"), "activity-audit_2-applications_2026-05-01_2026-05-31_snapshot-3.csv"),
        (("../..\\\r\n: Café",), "activity-audit_Caf_2026-05-01_2026-05-31_snapshot-3.csv"),
        (("通話",), "activity-audit_application_2026-05-01_2026-05-31_snapshot-3.csv"),
        ((None,), "activity-audit_none_2026-05-01_2026-05-31_snapshot-3.csv"),
        (("x" * 5000,), f"activity-audit_{'x' * 60}_2026-05-01_2026-05-31_snapshot-3.csv"),
    ],
)
def test_the_name_of_a_file_is_safe_and_short(applications: tuple[str | None, ...], name: str) -> None:
    assert file_name(replace(MAY, applications=applications), 3, ".csv") == name


def test_the_link_in_a_file_has_the_days_of_its_period() -> None:
    now = datetime(2026, 5, 31, 10, 30, tzinfo=UTC)
    for period in periods.NAMES:
        days = (now.date(), now.date()) if period == "from-to" else (None, None)
        state = State(period, *days, lists={"entity": ("Chat",)})
        later = fixed(state, now)
        assert later.filters(datetime(2027, 1, 1, tzinfo=UTC)) == state.filters(now), period
        assert later.period == "from-to"


def test_the_trail_is_landed_whatever_the_source_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "away.py").write_text(
        "from activity_audit.ingest.sources.source import Listing, SourceError\n"
        "class Away:\n"
        "    def __init__(self, settings): self.calls = 0\n"
        "    def list(self, feeds, window):\n"
        "        if window: raise SourceError('the source is away')\n"
        "        return Listing()\n"
        "    def open(self, offer): raise AssertionError\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    own = load_settings(source="away:Away")
    Trail(own.own_feeds_dir).signed_in("clarissa", ok=False)
    (window,) = plan(own, ["activity_audit"]).ranges
    with pytest.raises(Exception, match="the source is away"):
        land_feeds(own, ["activity_audit"], window)
    from activity_audit.ingest.landing import open_index

    (delivery,) = open_index(local_lake(own.raw_dir)).deliveries(["activity_audit"])
    assert (delivery.feed_hour, delivery.records) == (window[0], 1)
