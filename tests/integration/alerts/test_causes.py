"""What runs, looks and `audit verify` find is told; a cause is over when it is no longer found."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest

from activity_audit.alerts import looks
from activity_audit.alerts.looks import late_feeds, look_at_feeds, tell_of_findings
from activity_audit.base.hours import naive
from activity_audit.evidence.verify.findings import Finding, Report
from activity_audit.pipeline.run import land_feeds
from activity_audit.raw.database import INDEX_NAME
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import coverage, lake, verdicts
from orchestration import instance as dagster_instance
from orchestration import run_alerts
from orchestration.assets.warehouse import FEEDS_TAG
from orchestration.automation import build_alert_sensor
from orchestration.jobs import HOURLY, UPKEEP
from orchestration.partitions import range_tags
from orchestration.run_alerts import tell_of_runs
from tests.integration.alerts_support import Receiver, receiver
from tests.integration.support import HOUR, begin, deliver, event, lines, said
from tests.integration.tampering import change

LATE, STALE = "A feed is late, missing or incomplete", "No feed has brought new data"
BLOCKED, FAILED, DIFFERS = (
    "A publication was blocked by its checks",
    "A run failed",
    "A check of integrity found a difference",
)


@pytest.fixture
def place(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver() as found:
        monkeypatch.setenv("AUDIT_ALERT_TO", found.url)
        yield found


def _new(place: Receiver) -> list[str]:
    titles = place.titles
    place.messages.clear()
    return titles


def test_a_run_that_cannot_begin_is_told(settings: Settings, place: Receiver) -> None:
    begin(settings)
    landing = settings.home / "landing"
    landing.write_text("no folder")
    said(settings, "run", exit_code=1)
    (start,) = place.messages
    assert _new(place) == [FAILED]
    assert start["message"].startswith("`audit run` failed: ")
    landing.unlink()
    landing.mkdir()
    said(settings, "run")
    assert sorted(_new(place)) == sorted([f"over: {FAILED}", STALE, f"{LATE} (15)"])
    said(settings, "status", exit_code=1)
    assert _new(place) == []


@pytest.mark.slow
def test_what_cron_runs_tells(settings: Settings, place: Receiver) -> None:
    """A blocked run, late feeds, a changed event; and the end of the first."""
    begin(settings)
    deliver(settings, lines([event("b")]), hour=1)
    land_feeds(settings, ["search"], (HOUR + timedelta(hours=1), HOUR + timedelta(hours=2)))

    def pretend(change: int) -> None:
        with sqlite3.connect(settings.raw_dir / INDEX_NAME) as index:
            index.execute("update delivery set records = records + ? where feed_hour like '2026-05-01T11%'", [change])

    pretend(+1)
    said(settings, "run", exit_code=1)
    blocked, stale, late = place.messages
    assert _new(place) == [BLOCKED, STALE, f"{LATE} (15)"]
    assert "The run of 2026-05-01T11:00:00Z published nothing, because of these checks: Every rec" in blocked["message"]
    assert "2026-05-01T10:00:00Z, which is older than" in stale["message"]
    assert "Quality Management (qm): the feed hour 2026-05-01T10:00:00Z is missing." in late["message"]
    said(settings, "status", exit_code=1)
    assert _new(place) == []
    pretend(-1)
    said(settings, "run")
    assert _new(place) == [f"over: {BLOCKED}"]
    change(settings, "update audit.main.fact_activity_event set comments = 'changed' where event_id = 'a'")
    said(settings, "verify", exit_code=1)
    assert _new(place)[0].startswith(DIFFERS)


def test_a_finding_is_over_when_all_was_verified(settings: Settings, place: Receiver) -> None:
    own = load_settings()
    found = Report(None, None, findings=[Finding("raw", "missing", f"file {number}", "x") for number in range(102)])
    found.findings.append(Finding("raw", "added", "another", "x", "warning"))
    assert tell_of_findings(own, found, is_whole=True) == []
    (message,) = place.messages
    assert _new(place) == [f"{DIFFERS} (101)"]
    assert "raw: file 0 is missing." in message["message"]
    assert "another" not in message["message"]
    found.findings = []
    tell_of_findings(own, found, is_whole=False)
    assert _new(place) == []
    tell_of_findings(own, found, is_whole=True)
    assert _new(place) == [f"over: {DIFFERS} (101)"]


def _record(instance: dg.DagsterInstance, ok: bool, first: int, last: int, feeds: str | None = None) -> None:
    status = dg.DagsterRunStatus.SUCCESS if ok else dg.DagsterRunStatus.FAILURE
    tags = dict(range_tags(HOUR + timedelta(hours=first), HOUR + timedelta(hours=last)))
    instance.add_run(dg.DagsterRun(HOURLY, status=status, tags=tags | ({FEEDS_TAG: feeds} if feeds else {})))


def test_a_failed_run_is_told_until_a_run_of_its_beginning_succeeds(settings: Settings, place: Receiver) -> None:
    own = load_settings()
    with dg.DagsterInstance.ephemeral() as instance:

        def told() -> list[str]:
            assert tell_of_runs(own, instance) == []
            return _new(place)

        assert told() == []
        _record(instance, False, 0, 1)
        assert told() == [FAILED]
        _record(instance, False, 0, 2)
        # Another hour that goes well, and one feed of this one, make nothing good.
        _record(instance, True, 5, 6)
        _record(instance, True, 0, 2, "qm")
        assert told() == []
        instance.add_run(dg.DagsterRun(UPKEEP, status=dg.DagsterRunStatus.FAILURE))
        instance.add_run(dg.DagsterRun("feed_freshness", status=dg.DagsterRunStatus.FAILURE))
        assert told() == [FAILED]
        _record(instance, True, -1, 3)
        assert told() == [f"over: {FAILED}"]
        instance.add_run(dg.DagsterRun(UPKEEP, status=dg.DagsterRunStatus.SUCCESS))
        assert told() == [f"over: {FAILED}"]


def test_many_runs_do_not_make_a_failure_pass_for_over(
    settings: Settings, place: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a long backfill nor the checks of freshness, which have runs of their own."""
    own = load_settings()
    monkeypatch.setattr(run_alerts, "_MOST_RUNS", 3)
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_run(dg.DagsterRun(UPKEEP, status=dg.DagsterRunStatus.FAILURE))
        _record(instance, False, 0, 1)
        tell_of_runs(own, instance)
        assert _new(place) == [f"{FAILED} (2)"]
        for hour in range(5, 9):
            _record(instance, True, hour, hour + 1)
            instance.add_run(dg.DagsterRun("feed_freshness", status=dg.DagsterRunStatus.SUCCESS))
        tell_of_runs(own, instance)
        assert _new(place) == []
        _record(instance, True, 0, 1)
        tell_of_runs(own, instance)
        assert _new(place) == [f"over: {FAILED}"]


def test_the_sensor_looks_when_a_run_or_an_hour_is_over(
    settings: Settings, place: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(settings)
    sensor = build_alert_sensor(load_settings())
    due = HOUR
    monkeypatch.setattr("orchestration.automation.due", lambda now, freshness: due)
    with dg.DagsterInstance.ephemeral() as instance:
        cursor: str | None = None

        def tick() -> list[str]:
            nonlocal cursor
            data = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))
            assert not data.run_requests
            cursor = data.cursor
            return _new(place)

        place.status = 500
        assert tick() == []
        place.status = 200
        # Nothing happened since, and what could not be sent is sent.
        assert tick() == [STALE, f"{LATE} (15)"]
        change(settings, "delete from audit.quality.feed_reconciliation where status = 'missing'")
        assert tick() == []
        due += timedelta(hours=1)
        assert tick() == [f"over: {LATE} (15)"]
        _record(instance, False, 0, 1)
        assert tick() == [FAILED]


def test_what_no_feed_has_is_not_told_of_each(settings: Settings) -> None:
    """Hours after the newest data are the matter of stale data: a source that is out of reach is one cause."""
    hour = {"feed": "qm", "status": "missing", "detail": None}
    found = verdicts.judged(
        verdicts.State(naive(HOUR), *[None] * 6, *[0] * 7), coverage.Coverage(), HOUR, timedelta(hours=2)
    )
    gaps = [hour | {"feed_hour_utc": naive(HOUR + timedelta(hours=back))} for back in (1, 0, -1, -2)]
    (cause,) = late_feeds(found, gaps)
    assert cause.says == (
        "Quality Management (qm): 2 feed hours of the last 7 days are missing or incomplete; the newest, "
        "2026-05-01T09:00:00Z, is missing."
    )
    assert late_feeds(found, gaps[:2]) == []


def test_a_look_without_a_warehouse(settings: Settings, place: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look_at_feeds(load_settings()) == []

    def gone(settings: Settings) -> None:
        raise lake.WarehouseError("the warehouse is out of reach")

    monkeypatch.setattr(looks.lake, "reader", gone)
    assert look_at_feeds(load_settings()) == ["feeds could not be looked at for alerts: the warehouse is out of reach"]
    assert looks.blocking_checks(load_settings(), ["a"]) == {}
    with dagster_instance.instance(load_settings()) as instance:
        assert tell_of_runs(load_settings(), instance) == []
