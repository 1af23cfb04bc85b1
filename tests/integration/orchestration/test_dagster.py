"""The Dagster code location: assets, checks, runs that its UI shows, the schedule and the sensor."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster import EventLogEntry
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from filelock import FileLock

from activity_audit.base import catalogue
from activity_audit.base.hours import floor_hour, now_utc, partition_key
from activity_audit.dbt_runner import project
from activity_audit.pipeline.run import land_feeds
from activity_audit.settings.core import Settings
from activity_audit.warehouse.coverage import due
from orchestration import instance as dagster_instance
from orchestration.assets.raw import asset_key
from orchestration.definitions import build_definitions
from orchestration.jobs import FRESHNESS, HOURLY
from orchestration.partitions import hourly, planned, range_tags
from orchestration.storage import BatchedSqliteEventLogStorage
from tests import warm_process
from tests.integration.support import AUDIT, HOUR, audit, deliver, event, lines, one, process_environment, until

ROOT = Path(__file__).parents[3]
FACT = dg.AssetKey(["main", "fact_activity_event"])
JUDGED = dg.AssetKey(["intermediate", "int_judged_record"])


@pytest.fixture
def instance(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    with dagster_instance.instance(settings) as found:
        yield found


def test_every_application_is_an_asset_and_every_model_is_described(settings: Settings) -> None:
    graph = build_definitions(settings).resolve_asset_graph()
    assert {asset_key(slug) for slug in catalogue.slugs()} <= set(graph.get_all_asset_keys())
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
    assert graph.get(dg.AssetKey(["intermediate", "int_parsed_record"])).parent_keys > {asset_key("search")}
    blocking = [key for key in graph.asset_check_keys if graph.get(key).blocking]
    assert {key.asset_key for key in blocking} == {FACT}


def test_runs_of_the_command_line_are_dagster_runs(settings: Settings, instance: dg.DagsterInstance) -> None:
    applications = dg.AssetKey(["main", "dim_application"])
    # In a home of an earlier release, what has no hour has partitions.
    instance.report_runless_asset_event(dg.AssetMaterialization(applications, partition=partition_key(HOUR)))
    deliver(settings, lines([event("a"), event("b"), "junk"]))
    _a_run_is_dead_when_its_process_is_wherever_that_was(settings, instance)
    # There is something to run, and the dead run is marked before.
    audit(settings, "run")
    runs = instance.get_runs()
    succeeded, failed = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE
    assert [(run.job_name, run.status) for run in runs] == [(HOURLY, succeeded), (HOURLY, failed)]
    assert dagster_instance.fail_dead_runs(instance) == 0
    assert not list((settings.dagster_home / "history/alive").iterdir())
    assert one(settings, "select distinct run_id from fact_activity_event") == runs[0].run_id
    for key in (asset_key("search"), FACT):
        assert instance.get_materialized_partitions(key) == {partition_key(HOUR)}
    materialised = instance.get_latest_materialization_event(asset_key("search"))
    assert materialised is not None
    metadata = materialised.asset_materialization.metadata  # type: ignore[union-attr]
    assert metadata["dagster/row_count"].value == 3
    assert "junk" in metadata["preview"].value
    checks = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(["intermediate", "int_judged_record"]), "record_is_readable"), limit=1
    )
    evaluation = checks[0].event.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
    assert not evaluation.passed
    assert evaluation.metadata["unexpected"].value == 1
    _says_what_dbt_built_and_keeps_its_output(settings, instance, runs[0].run_id)


def _says_what_dbt_built_and_keeps_its_output(settings: Settings, instance: dg.DagsterInstance, run_id: str) -> None:
    applications = dg.AssetKey(["main", "dim_application"])
    said = {}
    for key in (applications, FACT, dg.AssetKey(["main", "agg_activity_hourly"])):
        made = instance.get_latest_materialization_event(key)
        assert made is not None
        assert made.run_id == run_id
        said[key.path[-1]] = made.asset_materialization.metadata  # type: ignore[union-attr]
    assert all(metadata["Execution Duration"].value > 0 for metadata in said.values())
    rows = {name: metadata["dagster/row_count"].value for name, metadata in said.items()}
    known = one(settings, "select count(*) from dim_application")
    assert rows == {"dim_application": known, "fact_activity_event": 2, "agg_activity_hourly": 1}
    assert instance.get_latest_materialization_event(applications).asset_materialization.partition is None  # type: ignore[union-attr]
    logged = [entry.user_message for entry in instance.all_logs(run_id)]
    assert any("main.fact_activity_event: 2 rows in " in text for text in logged)
    captured = [entry for entry in instance.all_logs(run_id) if "LOGS_CAPTURED" in str(entry.dagster_event)]
    assert captured
    assert len(list((settings.dagster_home / "storage" / run_id).rglob("*.complete"))) == 1


def test_a_range_is_one_run_and_each_of_its_partitions_says_its_own_counts(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    """What a backfill from the UI launches: a run of the job over a range of partitions."""
    for hour, records in ((0, ["a"]), (2, ["b", "c", "d"])):
        deliver(settings, lines([event(name) for name in records]), hour=hour)
    deliver(settings, lines([event("q")]), feed="qm", hour=2)
    job = build_definitions(settings, begin=HOUR).resolve_job_def(HOURLY)
    result = job.execute_in_process(instance=instance, tags=dict(range_tags(HOUR, HOUR + timedelta(hours=3))))
    assert result.success
    assert len(instance.get_materialized_partitions(FACT)) == 3
    assert one(settings, "select count(*) from fact_activity_event") == 5
    assert one(settings, "select count(*) from quality.pipeline_run") == 1
    # Freshness is watched from outside; a run does not evaluate it.
    assert not any("freshness" in event.message for event in result.all_events)
    # A check judges the run as a whole: Dagster knows it once, and not also as planned for each hour.
    history = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(JUDGED, "record_is_readable"), limit=10
    )
    assert [(check.status, check.partition) for check in history] == [(AssetCheckExecutionRecordStatus.SUCCEEDED, None)]

    def said(asset: dg.AssetKey, name: str) -> list[object]:
        found = {}
        for record in instance.fetch_materializations(asset, limit=10).records:
            metadata = record.asset_materialization.metadata  # type: ignore[union-attr]
            found[record.partition_key] = metadata[name].value if name in metadata else None
        return [found[partition_key(HOUR + timedelta(hours=hour))] for hour in range(3)]

    assert said(asset_key("search"), "dagster/row_count") == [1, 0, 3]
    assert said(asset_key("search"), "new_deliveries") == [1, 0, 1]
    assert said(asset_key("qm"), "dagster/row_count") == [0, 0, 1]
    assert [bool(text) for text in said(asset_key("search"), "sha256")] == [True, False, True]
    assert said(FACT, "received") == said(FACT, "accepted") == said(FACT, "dagster/row_count") == [1, 0, 4]
    # Its rows do not say of which feed hour they are, and the run is of three.
    assert said(dg.AssetKey(["main", "agg_activity_hourly"]), "dagster/row_count") == [None, None, None]
    assert len(set(said(FACT, "snapshot"))) == 1


@pytest.mark.slow
def test_a_bulk_load_of_the_command_line_plans_ranges_and_materialises_hours(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    last = 48
    deliver(settings, lines([event("a")]))
    deliver(settings, lines([event("b"), event("c")]), hour=last)
    end = HOUR + timedelta(hours=last + 1)
    audit(settings, "run", "--from", HOUR.isoformat(), "--to", end.isoformat())
    (plan,) = instance.fetch_planned_materializations(FACT, limit=100).records
    assert plan.event_log_entry.dagster_event
    subset = plan.event_log_entry.dagster_event.partitions_subset
    assert subset
    hours = {partition_key(HOUR + timedelta(hours=hour)) for hour in range(last + 1)}
    assert set(subset.get_partition_keys()) == hours
    assert instance.get_materialized_partitions(FACT) == instance.get_materialized_partitions(asset_key("qm")) == hours
    accepted = {
        record.partition_key: record.asset_materialization.metadata["accepted"].value  # type: ignore[union-attr]
        for record in instance.fetch_materializations(FACT, limit=100).records
    }
    assert accepted == {**dict.fromkeys(hours, 0), partition_key(HOUR): 1, partition_key(end - timedelta(hours=1)): 2}


@pytest.mark.parametrize(("hours", "are_failed"), [(1, True), (48, True), (49, False)])
def test_the_hours_of_a_failed_run_are_failed_but_those_of_a_bulk_load_are_missing(
    instance: dg.DagsterInstance, hours: int, are_failed: bool
) -> None:
    partitions, made = hourly(HOUR), dg.AssetKey("made")
    start, end = HOUR, HOUR + timedelta(hours=hours)
    is_broken = True

    @dg.asset(key=made, partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run())
    def asset() -> None:
        assert not is_broken

    def run() -> dg.DagsterRun:
        job = dg.Definitions(assets=[asset], jobs=[dg.define_asset_job("j")]).resolve_job_def("j")
        with planned(start, end):
            tags = dict(range_tags(start, end))
            return job.execute_in_process(instance=instance, tags=tags, raise_on_error=False).dagster_run

    def shown() -> tuple[int, int, int]:
        """How many of its hours Dagster's pages show as materialised, failed, and in progress."""
        status = get_and_update_asset_status_cache_value(instance, made, partitions)
        assert status
        return (
            len(status.deserialize_materialized_partition_subsets(partitions)),
            len(status.deserialize_failed_partition_subsets(partitions)),
            len(status.deserialize_in_progress_partition_subsets(partitions)),
        )

    failed = run()
    assert failed.status == dg.DagsterRunStatus.FAILURE
    assert instance.get_asset_records([made])[0].asset_entry.last_run_id == failed.run_id
    assert shown() == (0, hours if are_failed else 0, 0)
    is_broken = False
    assert run().status == dg.DagsterRunStatus.SUCCESS
    assert shown() == (hours, 0, 0)


def test_the_lineage_is_that_of_dbt_and_what_has_no_hour_is_unpartitioned(settings: Settings) -> None:
    found = build_definitions(settings).resolve_asset_graph()
    nodes = {k: node for k, node in project.manifest()["nodes"].items() if node["resource_type"] in ("seed", "model")}
    keys = {name: dg.AssetKey([node["schema"], node["name"]]) for name, node in nodes.items()}
    feeds = {asset_key(slug) for slug in catalogue.slugs()}
    for name, node in nodes.items():
        above = {keys[parent] for parent in node.get("depends_on", {}).get("nodes", []) if parent in keys}
        assert found.get(keys[name]).parent_keys - feeds == above, name
    assert found.get(FACT).parent_keys == {JUDGED}
    without = {name for name, key in keys.items() if not found.get(key).is_partitioned}
    assert without >= {name for name, node in nodes.items() if node["resource_type"] == "seed"}
    assert without >= {
        f"model.activity_audit.{name}"
        for name in ("stg_record", "dim_application", "dim_entity_activity", "activity_audit_report", "catalogue_drift")
    }
    for key in (JUDGED, FACT, dg.AssetKey(["quality", "feed_delivery"]), *feeds):
        assert found.get(key).is_partitioned


def test_what_a_step_writes_is_kept(instance: dg.DagsterInstance) -> None:
    @dg.op
    def speak() -> None:
        sys.stdout.write("said aloud\n")

    @dg.job(executor_def=dg.in_process_executor)
    def speaking() -> None:
        speak()

    run = speaking.execute_in_process(instance=instance)
    manager = instance.compute_log_manager
    (key,) = manager.get_log_keys_for_log_key_prefix([run.run_id, "compute_logs"], ComputeIOType.STDOUT)
    assert manager.get_log_data(key).stdout == b"said aloud\n"


def test_dagster_counts_no_hours_before_the_first_that_there_is(settings: Settings) -> None:
    deliver(settings, lines([event("a")]))
    land_feeds(settings, ["search"], (HOUR, HOUR + timedelta(hours=1)))
    for key in (asset_key("search"), FACT):
        partitions = build_definitions(settings).resolve_asset_graph().get(key).partitions_def
        assert partitions is not None
        assert partitions.get_first_partition_key() == partition_key(HOUR)


@pytest.mark.parametrize("ticking", ["every_hour", "late_deliveries"])
def test_a_tick_leaves_hours_before_the_beginning_to_the_code_that_is_loaded_next(
    settings: Settings, instance: dg.DagsterInstance, ticking: str
) -> None:
    begin = HOUR + timedelta(hours=2)
    for hour in (0, 4):
        deliver(settings, lines([event(f"{hour}")]), hour=hour)

    def starts(definitions: dg.Definitions, cursor: str | None = None) -> tuple[list[str], str | None]:
        if ticking == "every_hour":
            tick = floor_hour(now_utc()) + timedelta(minutes=10)
            found: dg.SensorExecutionData | object = definitions.resolve_schedule_def(ticking).evaluate_tick(
                dg.build_schedule_context(instance=instance, scheduled_execution_time=tick)
            )
        else:
            context = dg.build_sensor_context(instance=instance, cursor=cursor)
            found = definitions.resolve_sensor_def(ticking).evaluate_tick(context)
        requests = getattr(found, "run_requests", None) or []
        first = [request.tags["dagster/asset_partition_range_start"] for request in requests]
        return first, getattr(found, "cursor", None)

    first, cursor = starts(build_definitions(settings, begin=begin))
    assert first[0] == partition_key(begin)
    assert starts(build_definitions(settings), cursor)[0][0] == partition_key(HOUR)


def test_what_is_stored_of_partitions_is_what_dagster_would_store(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = {"text": 'a "partition": "x"\n', "ümlaut": dg.MetadataValue.md("| é |"), "n": 3}

    @dg.multi_asset(
        specs=[dg.AssetSpec(name, partitions_def=hourly(HOUR)) for name in ("plain", "json", "scoped")],
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def made(context) -> Iterator[dg.MaterializeResult]:  # type: ignore[no-untyped-def]
        # Metadata that looks like the event's own partition, and metadata that only one partition has.
        context.add_asset_metadata({"only": 1}, asset_key="scoped", partition_key=partition_key(HOUR + hour))
        yield dg.MaterializeResult(asset_key="plain", metadata=metadata)
        yield dg.MaterializeResult(
            asset_key="json", metadata={"json": {"partition": partition_key(HOUR), "timestamp": 1}}
        )
        yield dg.MaterializeResult(asset_key="scoped", metadata=metadata)

    stored: list[EventLogEntry] = []
    real = BatchedSqliteEventLogStorage.store_event_batch

    def spy(storage: BatchedSqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
        stored.extend(events)
        real(storage, events)

    hour = timedelta(hours=1)
    monkeypatch.setattr(BatchedSqliteEventLogStorage, "store_event_batch", spy)
    job = dg.Definitions(assets=[made], jobs=[dg.define_asset_job("j")]).resolve_job_def("j")
    run = job.execute_in_process(instance=instance, tags=range_tags(HOUR, HOUR + 4 * hour))
    assert run.success
    assert len(stored) == 3 * 4 * 2
    storage = instance.event_log_storage
    assert isinstance(storage, BatchedSqliteEventLogStorage)
    rows = [storage._event_to_row(event) for event in stored]
    expected = sorted((r["event"], r["partition"], r["asset_key"], f"{r['timestamp']:%F %T.%f}") for r in rows)
    for shard in (run.run_id, "index"):
        with closing(sqlite3.connect(storage.path_for_shard(shard))) as database:
            found = database.execute(
                "select event, partition, asset_key, timestamp from event_logs where partition is not null"
            ).fetchall()
        assert sorted(found) == expected
    for name in ("plain", "json", "scoped"):
        records = instance.fetch_materializations(dg.AssetKey(name), limit=10).records
        assert {record.partition_key for record in records} == {partition_key(HOUR + n * hour) for n in range(4)}
        newest = instance.get_asset_records([dg.AssetKey(name)])[0].asset_entry.last_materialization_record
        assert newest is not None
        assert newest.storage_id == records[0].storage_id


def test_the_schedule_runs_the_hour_that_ended_and_what_is_left(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    deliver(settings, lines([event("old")]))
    tick = datetime(2026, 5, 1, 14, 10, tzinfo=UTC)
    schedule = build_definitions(settings, begin=HOUR).resolve_schedule_def("every_hour")
    data = schedule.evaluate_tick(dg.build_schedule_context(instance=instance, scheduled_execution_time=tick))
    starts = [request.tags["dagster/asset_partition_range_start"] for request in data.run_requests or []]
    ends = [request.tags["dagster/asset_partition_range_end"] for request in data.run_requests or []]
    assert (starts, ends) == ([partition_key(HOUR)], [partition_key(HOUR + timedelta(hours=3))])


def test_the_sensor_takes_late_deliveries_once(settings: Settings) -> None:
    sensor = build_definitions(settings, begin=HOUR).resolve_sensor_def("late_deliveries")
    with dg.DagsterInstance.ephemeral() as ephemeral:

        def tick(cursor: str | None) -> tuple[int, str | None]:
            context = dg.build_sensor_context(instance=ephemeral, cursor=cursor)
            data = sensor.evaluate_tick(context)
            return len(data.run_requests or []), data.cursor

        assert tick(None)[0] == 0
        deliver(settings, lines([event("late")]))
        count, cursor = tick(None)
        assert count == 1
        assert tick(cursor)[0] == 0
        deliver(settings, lines([event("late"), event("grown")]))
        assert tick(cursor)[0] == 1
        # The hour that is under way is the schedule's.
        now = int((floor_hour(now_utc()) - HOUR).total_seconds() // 3600)
        deliver(settings, lines([event("now")]), hour=now)


def test_the_sensor_tries_once_more_what_died_with_its_machine(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    sensor = build_definitions(settings, begin=HOUR).resolve_sensor_def("late_deliveries")
    deliver(settings, lines([event("late")]))
    cursor = None

    def tick() -> list[dict[str, str]]:
        nonlocal cursor
        data = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))
        cursor = data.cursor
        return [dict(request.tags) for request in data.run_requests or []]

    def die(tags: dict[str, str]) -> None:
        # A run that has begun and whose lock nobody holds.
        instance.add_run(dg.DagsterRun(job_name=HOURLY, status=dg.DagsterRunStatus.STARTED, tags=tags))

    for first in range(2):
        (tags,) = tick()
        assert tick() == []
        die(tags)
        # At the next tick, and if that dies as well, as where there is too little memory, not again.
        (again,) = tick()
        die(again)
        assert [tick(), tick()] == [[], []]
        deliver(settings, lines([event("late"), event(f"grown {first}")]))


def test_freshness_asks_for_the_newest_hour_that_is_due(settings: Settings, instance: dg.DagsterInstance) -> None:
    newest = int((due(now_utc(), settings.freshness) - HOUR).total_seconds() // 3600) - 1
    deliver(settings, b"", feed="search", hour=newest)
    deliver(settings, lines([event("old")]), feed="qm", hour=newest - 1)
    land_feeds(settings, catalogue.slugs(), (HOUR, now_utc()))
    result = build_definitions(settings).resolve_job_def(FRESHNESS).execute_in_process(instance=instance)
    found = {evaluation.asset_key: evaluation.passed for evaluation in result.get_asset_check_evaluations()}
    assert set(found) == {asset_key(slug) for slug in settings.expected_feeds}
    assert {key for key, passed in found.items() if passed} == {asset_key("search")}


@contextmanager
def _run_elsewhere(settings: Settings, instance: dg.DagsterInstance) -> Iterator[subprocess.Popen[bytes]]:
    """An `audit run` on a machine of another name that has begun and waits for the warehouse; yielded once it does."""
    with FileLock(settings.warehouse_lock):
        process = subprocess.Popen(
            ["unshare", "--uts", "sh", "-c", f"hostname elsewhere && exec {AUDIT} run"]
            if os.geteuid() == 0
            else [AUDIT, "run"],
            env=process_environment(settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: _statuses(instance) == [dg.DagsterRunStatus.STARTED])
            yield process
        finally:
            process.kill()
            process.wait()


def _statuses(instance: dg.DagsterInstance) -> list[dg.DagsterRunStatus]:
    return [run.status for run in instance.get_runs()]


def _a_run_is_dead_when_its_process_is_wherever_that_was(settings: Settings, instance: dg.DagsterInstance) -> None:
    with _run_elsewhere(settings, instance) as process:
        assert dagster_instance.fail_dead_runs(instance) == 0
        # The id of a process says nothing, nor do tags that a run has.
        instance.add_run_tags(instance.get_runs()[0].run_id, {"audit/process": f"{socket.gethostname()}:{os.getpid()}"})
        process.kill()
        process.wait()
        assert _statuses(instance) == [dg.DagsterRunStatus.STARTED]


@pytest.mark.parametrize("ticking", ["every_hour", "late_deliveries"])
def test_each_tick_marks_dead_runs_and_goes_on(settings: Settings, instance: dg.DagsterInstance, ticking: str) -> None:
    definitions = build_definitions(settings, begin=HOUR)

    def tick() -> int:
        if ticking == "every_hour":
            at = floor_hour(now_utc()) + timedelta(minutes=10)
            schedule = definitions.resolve_schedule_def(ticking)
            schedule_context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
            return len(schedule.evaluate_tick(schedule_context).run_requests or [])
        sensor = definitions.resolve_sensor_def(ticking)
        return len(sensor.evaluate_tick(dg.build_sensor_context(instance=instance)).run_requests or [])

    dead = warm_process.run(
        [sys.executable, "-c", _BEGUN_AND_GONE, ticking], env=process_environment(settings), check=True
    )
    assert dead.returncode == 0
    deliver(settings, lines([event("late")]))
    assert _statuses(instance) == [dg.DagsterRunStatus.STARTED]
    assert tick() >= 1
    assert _statuses(instance) == [dg.DagsterRunStatus.FAILURE]


# A run that has begun, in a process that ends without a word.
_BEGUN_AND_GONE = """
import os, sys
import dagster as dg
from orchestration import instance as dagster_instance
from activity_audit.settings.core import load_settings
@dg.op
def end(): os._exit(0)
@dg.job(name="hourly_pipeline", executor_def=dg.in_process_executor)
def job(): end()
with dagster_instance.instance(load_settings()) as instance:
    job.execute_in_process(instance=instance)
"""


def test_a_run_that_never_begins_is_given_time_and_a_canceled_one_none(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    for number, status in enumerate((dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING)):
        instance.add_run(dg.DagsterRun(job_name=HOURLY, run_id=f"{number}", status=status))
    instance.add_run(dg.DagsterRun(job_name=HOURLY, run_id="canceling", status=dg.DagsterRunStatus.CANCELING))
    assert dagster_instance.fail_dead_runs(instance) == 1
    with closing(sqlite3.connect(settings.dagster_home / "history/runs.db")) as database, database:
        database.execute("update runs set update_timestamp = datetime('now', '-10 minutes')")
    assert dagster_instance.fail_dead_runs(instance) == 2
    assert {run.run_id: run.status.value for run in instance.get_runs()} == {
        "0": "FAILURE",
        "1": "FAILURE",
        "canceling": "CANCELED",
    }


@pytest.mark.parametrize(
    "command",
    [
        "dagster definitions validate -w workspace.yaml",
        pytest.param("dg check defs", marks=pytest.mark.slow),
    ],
)
def test_workspace_and_definitions_validate(settings: Settings, command: str) -> None:
    program, *arguments = command.split()
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        cwd=ROOT,
        env=process_environment(settings),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
