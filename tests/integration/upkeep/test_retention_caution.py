"""An upkeep that a wrong clock or a wrong setting would make destroy everything leaves it, and says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from click.testing import CliRunner

from activity_audit.base import catalogue
from activity_audit.cli.maintain import command
from activity_audit.pipeline import run as pipeline
from activity_audit.pipeline import stages
from activity_audit.settings.core import Settings
from activity_audit.upkeep import maintenance
from activity_audit.upkeep.maintenance import Allowed, maintain, preview
from activity_audit.upkeep.retention.caution import clock_doubt
from orchestration import instance as dagster_instance
from orchestration.definitions import build_definitions
from orchestration.jobs import UPKEEP
from orchestration.old_runs import forget_old_runs
from tests.integration.retention_support import BY_FEED, keeping
from tests.integration.support import deliver, event, lines, query, run
from tests.integration.tampering import copied

IN_2040 = datetime(2040, 1, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.fixture
def home(retention_home: Settings, tmp_path: Path) -> Settings:
    return copied(retention_home, tmp_path / "home")


@pytest.fixture
def in_2040(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (maintenance, pipeline, stages):
        monkeypatch.setattr(module, "now_utc", lambda: IN_2040)


def _state(settings: Settings) -> tuple[object, ...]:
    """What there is of events, raw files, snapshots and Dagster's runs."""
    with dagster_instance.instance(settings) as instance:
        runs = instance.get_runs_count()
    files = sorted(path for path in settings.raw_dir.rglob("*.parquet"))
    return query(settings, BY_FEED), files, query(settings, "select count(*) from audit.snapshots()"), runs


@pytest.mark.usefixtures("in_2040")
def test_with_the_clock_in_2040_nothing_goes(home: Settings) -> None:
    kept = keeping(home, "400d")
    before = _state(home)
    shown = CliRunner().invoke(command, ["--dry-run"], obj=kept)
    assert shown.exit_code == 1
    assert "Error: the clock says 2040-01-01T00:00:00Z, 47" in shown.stderr
    for allowed in (Allowed(), Allowed(large_deletion=True)):
        done = maintain(kept, allowed, forget_old_runs)
        assert (done.refused, done.retention.due, done.counts["runs forgotten"]) == (True, [], 0)
        assert "--trust-clock" in done.doubts[0]
        assert _state(home)[:2] == before[:2]
        assert query(home, "select count(*) from audit.snapshots()") >= before[2]
    said = CliRunner().invoke(command, ["--output", "json"], obj=kept)
    assert said.exit_code == 1
    assert json.loads(said.stdout)["errors"] == done.doubts
    definitions = build_definitions(kept)
    assert definitions.resolve_schedule_def("every_day_upkeep").default_status == dg.DefaultScheduleStatus.STOPPED
    assert not definitions.resolve_job_def(UPKEEP).execute_in_process(raise_on_error=False).success


@pytest.mark.slow
@pytest.mark.usefixtures("in_2040")
def test_what_lands_with_the_clock_in_2040_makes_it_no_better(home: Settings) -> None:
    kept = keeping(home, "400d")
    deliver(home, lines([event(f"n{number}", eventTime="2026-05-01T13:10:00Z") for number in range(20)]), hour=3)
    run(home, 3)
    assert [doubt[:28] for doubt in maintain(kept).doubts] == ["the clock says 2040-01-01T00"]
    # Believed, all of it would go at once, and that takes another word.
    believed = maintain(kept, Allowed(trust_clock=True))
    assert [doubt[:55] for doubt in believed.doubts] == ["retention would delete 5 of 5 feed hours, with 100 of 1"]
    assert query(home, BY_FEED) == [("qm", 40), ("search", 60)]
    assert not maintain(kept, Allowed(trust_clock=True, large_deletion=True)).refused
    assert query(home, BY_FEED) == []


def test_more_than_the_stated_share_goes_only_if_it_is_asked_for(home: Settings) -> None:
    kept = keeping(home, "30d")
    would = preview(kept)
    assert len(would.retention.due) == 4
    assert "4 of 4 feed hours, with 80 of 80 events" in would.doubts[0]
    shown = CliRunner().invoke(command, ["--dry-run"], obj=kept)
    assert (shown.exit_code, "Would be deleted" in shown.stdout) == (1, True)
    assert "--allow-large-deletion" in shown.stderr
    refused = maintain(kept)
    assert (refused.refused, refused.retention.due) == (True, [])
    assert query(home, BY_FEED) == [("qm", 40), ("search", 40)]
    # Half of it is less than the share; a stricter setting refuses that, too.
    half = keeping(home, "search=30d")
    assert maintain(half.model_copy(update={"retention_max_share": 0.4})).refused
    assert query(home, BY_FEED) == [("qm", 40), ("search", 40)]
    assert not maintain(half).refused
    assert query(home, BY_FEED) == [("qm", 40)]
    assert CliRunner().invoke(command, ["--allow-large-deletion"], obj=kept).exit_code == 0
    assert query(home, BY_FEED) == []


@pytest.mark.parametrize(
    ("deliveries", "doubted"),
    [
        # Nothing at all, and what landed an hour ago.
        ([], False),
        ([("search", -1, 0, 5)], False),
        # A feed that is silent for six days, and for nine.
        ([("search", -6 * 24, -6 * 24, 5)], False),
        ([("search", -9 * 24, -9 * 24, 5)], True),
        # Years ago, landed by a backfill of two days ago, and all of it today.
        ([("search", -20000, -48, 5), ("search", -19999, -48, 5)], False),
        ([("search", -20000, -1, 5)], False),
        # The clock jumped: what lands by it is of hours long ago, or is our own feed's, or an hour without records.
        ([("search", -90000, -90000, 5), ("search", -89999, 0, 5)], True),
        ([("search", -90000, -90000, 5), (catalogue.OWN_FEED, 0, -25, 5), ("qm", -1, -25, 0)], True),
        # A folder of a year to come says nothing of today.
        ([("search", -90000, -90000, 5), ("search", 9000, -90000, 5)], True),
    ],
)
def test_when_the_clock_is_doubted(deliveries: list[tuple[str, int, int, int]], doubted: bool) -> None:
    """Deliveries by feed, hours from now of their feed hour and their landing, and records."""
    with duckdb.connect() as connection:
        connection.execute("attach ':memory:' as audit")
        connection.execute("create schema audit.quality")
        connection.execute(
            "create table audit.quality.feed_delivery "
            "(feed varchar, feed_hour_utc timestamp, landed_at_utc timestamp, received bigint)"
        )
        now = datetime(2040, 1, 1, tzinfo=UTC)
        for feed, hour, landed, received in deliveries:
            times = [(now + timedelta(hours=hours)).replace(tzinfo=None) for hours in (hour, landed)]
            connection.execute("insert into audit.quality.feed_delivery values (?, ?, ?, ?)", [feed, *times, received])
        assert (clock_doubt(connection, now, WEEK) is not None) == doubted
