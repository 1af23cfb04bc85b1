"""Quarantined records that are judged again: what becomes of them, of all figures, and of the proof."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import CliRunner

from activity_audit.cli.dagster_runs import error_of
from activity_audit.cli.main import cli
from activity_audit.evidence.verify.verify import verify
from activity_audit.pipeline.replay import ReplayError, replay
from activity_audit.pipeline.replay_report import Report
from activity_audit.pipeline.status import status
from activity_audit.report.auditors.collect import Review, collect
from activity_audit.report.auditors.verdicts import verdicts
from activity_audit.report.queries import quality
from activity_audit.report.queries.warehouse import Warehouse
from activity_audit.settings.core import Settings, load_settings
from activity_audit.warehouse import lake
from activity_audit.warehouse.quarantine import unresolved
from orchestration import instance as dagster_instance
from orchestration.definitions import build_definitions
from orchestration.jobs import JUDGE_AGAIN, REPLAY
from tests import warm_process
from tests.integration.support import deliver, dump, event, lines, one, process_environment, query, run
from tests.integration.tampering import change, copied, edit_column, findings, named, raw_file

# Two hours after its feed hour's end, which is more than the usual tolerance, and less than a raised one.
SOON = "2026-05-01T13:00:00Z"
RAISED = {"AUDIT_FUTURE_TOLERANCE": "4h"}
RECORDS: Sequence[dict[str, Any] | str] = [
    event("fine"),
    event("soon", eventTime=SOON),
    event("offset", eventTime="2026-05-01T15:00:00+02:00", activity="Unheard of"),
    event("later", eventTime="2026-05-01T19:00:00Z"),
    event("two-reasons", eventTime=SOON, outcome="MAYBE"),
    event("soon", eventTime=SOON),
    event("taken", eventTime=SOON, comments="first"),
    "junk",
    "x" * 3000,
]
# Dies with everything written and nothing committed, which is the worst moment.
DIES = """
import os, signal, sys
from datetime import timedelta
from activity_audit.publish import publish
from activity_audit.pipeline.replay import replay
from activity_audit.settings.core import load_settings

commit = publish.transaction.__exit__

def die(self, *error):
    if self._message == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return commit(self, *error)

publish.transaction.__exit__ = die
replay(load_settings(), "killed")
"""


def raised(settings: Settings) -> Settings:
    return settings.model_copy(update={"future_tolerance": timedelta(hours=4)})


def again(settings: Settings, **chosen: str) -> Report:
    return replay(settings, str(uuid4()), **chosen)


@pytest.fixture(scope="module")
def quarantined(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two feeds whose clocks were wrong; `taken` came again later with another content, which was accepted."""
    folder = tmp_path_factory.mktemp("quarantined")
    settings = load_settings(
        home=folder / "home", feed_url=str(folder / "landing"), applications="search,qm", max_record_bytes=2000
    )
    deliver(settings, lines(RECORDS))
    deliver(settings, lines([event("qm-soon", eventTime=SOON)]), feed="qm")
    deliver(settings, lines([event("taken", eventTime=SOON, comments="second")]), hour=2)
    run(settings, 0, 3)
    return settings


@pytest.fixture(scope="module")
def replayed(quarantined: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, dict, Report]:
    """A home after a replay that was killed, one of a feed by command, and one for a reason; with their reports."""
    home = copied(quarantined, tmp_path_factory.mktemp("replayed") / "home")
    before = dump(home, set())
    dead = warm_process.run([sys.executable, "-c", DIES], env=process_environment(home, **RAISED))
    assert dead.returncode == -signal.SIGKILL
    assert dump(home, set()) == before
    with pytest.MonkeyPatch.context() as patch:
        for name, value in process_environment(home, **RAISED).items():
            patch.setenv(name, value)
        done = CliRunner().invoke(cli, ["replay", "--feed", "qm", "--output", "json"])
    assert done.exit_code == 0, done.output
    return home, json.loads(done.stdout), again(raised(home), reason="event_time_in_future")


@pytest.fixture
def home(replayed: tuple[Settings, dict, Report], tmp_path: Path) -> Settings:
    return copied(raised(replayed[0]), tmp_path / "home")


def test_a_changed_setting_resolves_exactly_what_it_was_in_the_way_of(
    quarantined: Settings, replayed: tuple[Settings, dict, Report]
) -> None:
    settings, of_feed, report = replayed
    assert (of_feed["judged"], of_feed["accepted"], of_feed["remaining"]) == (1, 1, 0)
    assert (report.judged, report.accepted, report.duplicate, report.changed, report.remaining) == (6, 2, 1, 2, 3)
    future, conflict, outcome = "event_time_in_future", "event_id_conflict", "invalid_outcome"
    assert report.resolved_by_reasons == [{"feed": "search", "reasons": [future], "accepted": 2, "duplicate": 1}]
    assert report.changed_by_reasons == [
        {"feed": "search", "reasons_before": [future], "reasons_after": [conflict], "records": 1},
        {"feed": "search", "reasons_before": [future, outcome], "reasons_after": [outcome], "records": 1},
    ]
    remaining = [(future, 1), (conflict, 1), (outcome, 1)]
    assert sorted((row["reason"], row["records"]) for row in report.remaining_by_reason) == sorted(remaining)
    assert query(settings, "select event_id, source_record, hour(feed_hour_utc), run_id from fact_activity_event "
                           "where source_record > 1 order by source_record") == [
        ("soon", 2, 10, report.run_id), ("offset", 3, 10, report.run_id)
    ]  # fmt: skip
    # What was accepted never changes, nor what a run told of its deliveries.
    assert one(settings, "select comments from fact_activity_event where event_id = 'taken'") == "second"
    deliveries = "from quality.feed_delivery order by delivery_id"
    assert query(settings, deliveries) == query(quarantined, deliveries)
    unchanged = "select * exclude (resolved_at_utc) from quality.quarantined_event order by delivery_id, source_record"
    assert query(settings, unchanged) == query(quarantined, unchanged)
    assert one(settings, "select count(*) from fact_activity_event", of_feed["run_id"]) == 3


def test_all_figures_follow(replayed: tuple[Settings, dict, Report]) -> None:
    settings, *_ = replayed
    hours = query(
        settings,
        "select feed, hour(feed_hour_utc), received, accepted, duplicate, quarantined, offset_normalised, late "
        "from quality.feed_reconciliation where files > 0 order by feed_hour_utc, feed",
    )
    assert hours == [
        ("qm", 10, 1, 1, 0, 0, 0, 0),
        ("search", 10, 9, 3, 1, 5, 1, 0),
        ("search", 12, 1, 1, 0, 0, 0, 0),
    ]
    unresolved = "from quality.quarantined_event where resolved_at_utc is null"
    assert query(settings, f"select feed, count(*) {unresolved} group by all") == [("search", 5)]
    assert one(settings, "select count(*) from fact_activity_event") == 5
    assert one(settings, "select sum(event_count)::int from agg_activity_hourly") == 5
    assert query(settings, "select activity, event_count from quality.catalogue_drift") == [("Unheard of", 1)]
    runs = query(
        settings,
        "select kind, deliveries, received, accepted, duplicate, quarantined from quality.pipeline_run "
        "order by started_at_utc",
    )
    assert runs == [("run", 3, 11, 2, 0, 9), ("replay", 0, 0, 1, 0, -1), ("replay", 0, 0, 2, 1, -3)]
    assert findings(settings) == []
    report = status(settings)
    assert report["quarantined"] == 5
    # What the sources sent is still told.
    assert "The event time is not in the future" in {c["title"] for c in report["checks"] if not c["success"]}
    # As last judged: what a replay took away from a record is no reason any more.
    assert {row["reason"]: row["records"] for row in report["reasons"]} == {
        "event_id_conflict": 1, "event_time_in_future": 1, "invalid_outcome": 1, "too_large": 1, "unparseable": 1
    }  # fmt: skip


def test_a_replay_is_a_job_of_dagster(replayed: tuple[Settings, dict, Report], monkeypatch: pytest.MonkeyPatch) -> None:
    settings, of_feed, _ = replayed
    monkeypatch.setenv("DAGSTER_HOME", "")
    with dagster_instance.instance(settings) as instance:
        runs = [(run.run_id, run.job_name, run.status.value) for run in instance.get_runs()]
        assert runs == [(of_feed["run_id"], REPLAY, "SUCCESS")]
    job = build_definitions(settings, watching=False).resolve_job_def(REPLAY)
    config = {"ops": {JUDGE_AGAIN: {"config": {"feed": "bad"}}}}
    assert "there is no feed bad; known are" in error_of(job.execute_in_process(config, raise_on_error=False), settings)


def test_the_documents_tell_why_each_record_is_in_quarantine_now(replayed: tuple[Settings, dict, Report]) -> None:
    document = (Path(__file__).parents[3] / "docs/operations.md").read_text(encoding="utf-8")
    (documented,) = re.findall(r"^```sql\n(select feed, coalesce.*?)^```", document, re.MULTILINE | re.DOTALL)
    with lake.reader(replayed[0]) as connection:
        columns = "feed, reasons, record"
        used = connection.execute(f"select {columns} from ({unresolved(connection)}) order by all").fetchall()
        assert connection.execute(f"select {columns} from ({documented}) order by all").fetchall() == used
    assert ["event_id_conflict"] in [row[1] for row in used]


def test_the_pages_tell_what_stands_from_what_was_resolved(replayed: tuple[Settings, dict, Report]) -> None:
    settings, of_feed, _ = replayed
    now = collect(settings)
    assert {row["reason"]: (row["records"], row["resolved"], row["standing"]) for row in now.rows["reasons"]} == {
        "event_time_in_future": (7, 4, 1), "invalid_outcome": (1, 0, 1), "event_id_conflict": (0, 0, 1),
        "too_large": (1, 0, 1), "unparseable": (1, 0, 1),
    }  # fmt: skip
    assert {(row["reason"], row["source_record"]) for row in now.rows["samples"]} == {
        ("event_time_in_future", 4), ("invalid_outcome", 5), ("event_id_conflict", 7), ("unparseable", 8),
        ("too_large", 9),
    }  # fmt: skip
    assert _quarantine(now).startswith("5 records (45.45% of what was received), kept whole, for 5 reasons")
    assert _quarantine(now).endswith("Replays resolved 4 more since.")
    assert "Nothing now: replays resolved 1 record that was kept out." in _quarantine(collect(settings, feeds=["qm"]))
    # As of the first replay, which was of the other feed.
    then = collect(settings, at=of_feed["run_id"])
    assert next((row["records"], row["resolved"], row["standing"]) for row in then.rows["reasons"]) == (7, 1, 6)
    assert then.integrity is not None
    assert (then.integrity.intact, then.integrity.counts["events"]) == (True, 3)
    warehouse = Warehouse(settings)
    try:
        with warehouse.query() as asked:
            assert dict(quality.reasons(asked)) == {row["reason"]: 1 for row in now.rows["reasons"]}
            (conflict,) = quality.quarantine(asked, reason="event_id_conflict")
            assert (conflict.source_record, conflict.reasons) == (7, ["event_id_conflict"])
            assert [found.source_record for found in quality.quarantine(asked, reason="event_time_in_future")] == [4]
            assert quality.quarantine(asked, feed="qm") == []
    finally:
        warehouse.close()


def _quarantine(review: Review) -> str:
    return next(verdict.answer for verdict in verdicts(review) if verdict.area == "Quarantine")


def test_a_replay_that_changes_nothing_says_so_and_publishes_nothing(home: Settings) -> None:
    tables = "from quality.pipeline_run union all by name from quality.replayed_record order by all"
    # What a replay resolved is not resolved again, whatever somebody wrote since.
    change(home, "update quality.quarantined_event set resolved_at_utc = null where source_record = 3")
    before, runs = dump(home, set()), query(home, tables)
    report = again(home)
    assert (report.run_id, report.judged, report.cut_off, report.remaining, report.tables) == (None, 4, 1, 4, [])
    assert dump(home, set()) == before
    assert query(home, tables) == runs


SEARCH = "feed = 'search' and feed_hour_utc = '2026-05-01 10:00'"
TABLE = "quality.replayed_record"


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ([f"update {TABLE} set reasons_after = ['invalid_outcome'] where source_record = 7",
          "update quality.quarantined_event set resolved_at_utc = null where source_record = 3"],
         {("replay", "changed"), ("quarantine", "changed")}),
        ([f"delete from {TABLE} where source_record = 6"],
         {("replay", "missing"), ("quarantine", "changed"), ("reconciliation", "changed")}),
        ([f"insert into {TABLE} select * replace (9 as revision) from {TABLE} where source_record = 7",
          f"update quality.feed_reconciliation set late = 1 where {SEARCH}"],
         {("replay", "added"), ("reconciliation", "changed")}),
        ([f"insert into {TABLE} select * replace ('never' as run_id) from {TABLE} where source_record = 7",
          "update quality.quarantined_event set resolved_at_utc = now()::timestamp where source_record = 4"],
         {("replay", "added"), ("quarantine", "changed")}),
        (["delete from quality.integrity_ledger where kind = 'replay' and feed = 'search'"], {("replay", "added")}),
    ],
)  # fmt: skip
def test_what_a_replay_did_cannot_be_changed_unseen(
    home: Settings, statements: list[str], expected: set[tuple[str, str]]
) -> None:
    change(home, *statements)
    found = [finding for finding in findings(home) if finding.layer != "fact"]
    assert set(named(found)) == expected
    assert all(finding.what.startswith("search 2026-05-01T10:00Z") for finding in found)


def test_the_events_of_a_replay_are_named(home: Settings) -> None:
    change(
        home,
        "update fact_activity_event set outcome = 'FAILURE' where event_id = 'soon'",
        "delete from fact_activity_event where event_id in ('offset', 'fine')",
        "insert into fact_activity_event select * replace ('forged' as event_id) from fact_activity_event "
        "where event_id = 'soon'",
    )
    found = {(f.problem, f.detail.rsplit(": ")[-1]) for f in findings(home)}
    assert found == {("changed", "soon"), ("missing", "offset"), ("missing", "fine"), ("added", "forged")}


def test_what_the_raw_lake_has_not_cannot_be_judged(quarantined: Settings, tmp_path: Path) -> None:
    home = copied(quarantined, tmp_path / "home")
    path = raw_file(home, "qm", 10)
    edit_column(path, "record", "qm-soon", "qm-edit")
    with pytest.raises(ReplayError, match="1 raw files that the replay needs are not what they were when"):
        again(home)
    path.unlink()
    with pytest.raises(ReplayError, match=f"1 raw files that the replay needs are gone, the first is {path}"):
        again(home)


def test_a_warehouse_that_an_earlier_release_published_has_no_replays(quarantined: Settings, tmp_path: Path) -> None:
    home = copied(quarantined, tmp_path / "home")
    change(home, f"drop table {TABLE}")
    reasons = collect(home, check_integrity=False).rows["reasons"]
    assert [(row["records"], row["standing"]) for row in reasons] == [(7, 7), (1, 1), (1, 1), (1, 1)]
    change(
        home, "create or replace view quality.catalogue_drift as select entity_activity_key from dim_entity_activity"
    )
    assert status(home)["quarantined"] == 9
    warehouse = Warehouse(home)
    with warehouse.query() as asked:
        assert quality.reasons(asked)[0] == ("event_time_in_future", 7)
    warehouse.close()
    assert verify(home).findings == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--reason", "bad"], 2, "'event_time_in_future'"),
        (["--feed", "bad"], 2, "the catalogue has analytics,"),
        ([], 1, "nothing is published in"),
    ],
)
def test_what_the_command_refuses(settings: Settings, arguments: list[str], code: int, message: str) -> None:
    done = CliRunner().invoke(cli, ["replay", *arguments])
    assert (done.exit_code, message in done.output) == (code, True)
