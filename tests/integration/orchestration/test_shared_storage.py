"""Dagster's records in a real PostgreSQL, for a warehouse of several machines."""

from __future__ import annotations

import signal
import subprocess
import sys
from uuid import uuid4

import pytest

from activity_audit.settings.core import Settings
from orchestration import instance
from tests.integration.postgres_server import INITDB, PostgresServer
from tests.integration.support import audit, deliver, event, lines, process_environment, query, until

pytestmark = pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")

# Begins a run, says so, and waits to be killed.
BEGINS = """
import sys, time
import dagster as dg
from activity_audit.settings.core import load_settings
from orchestration.instance import instance
with instance(load_settings()) as opened:
    job = dg.JobDefinition(graph_def=dg.GraphDefinition("empty", node_defs=[]), name="empty")
    run = opened.create_run_for_job(job, run_id=sys.argv[1])
    opened.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "empty"), run_id=run.run_id)
    print("begun", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def shared(settings: Settings, postgres: PostgresServer) -> Settings:
    """A home whose Dagster records are in an empty database; its own machine is one of several."""
    parts = dict(part.split("=") for part in postgres.new_database().removeprefix("postgres:").split())
    url = f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}"
    return settings.model_copy(update={"dagster_storage": url})


def test_runs_of_two_homes_are_in_one_history(shared: Settings) -> None:
    assert shared.dagster_storage
    deliver(shared, lines([event("a")]))
    done = audit(shared, "run", AUDIT_DAGSTER_STORAGE=shared.dagster_storage)
    assert "1 accepted" in done.stdout
    assert query(shared, "select event_id from fact_activity_event") == [("a",)]
    assert not (shared.home / "dagster" / "history").exists()
    other = shared.model_copy(update={"home": shared.home.with_name("other")})
    with instance.instance(other) as opened:
        assert [run.status.value for run in opened.get_runs()] == ["SUCCESS"]
        # Nothing is left that looks alive.
        assert instance.fail_dead_runs(opened) == 0


def test_a_run_is_dead_when_its_process_is_gone_on_whichever_machine(shared: Settings) -> None:
    assert shared.dagster_storage
    run_id = str(uuid4())
    given = process_environment(shared, AUDIT_DAGSTER_STORAGE=shared.dagster_storage)
    other = shared.model_copy(update={"home": shared.home.with_name("other")})
    with instance.instance(other) as opened:
        process = subprocess.Popen([sys.executable, "-c", BEGINS, run_id], env=given, stdout=subprocess.PIPE)
        try:
            assert process.stdout
            assert process.stdout.readline() == b"begun\n"
            assert instance.fail_dead_runs(opened) == 0
            process.send_signal(signal.SIGKILL)
            process.wait()
            until(lambda: instance.fail_dead_runs(opened) == 1, 20)
            run = opened.get_run_by_id(run_id)
            assert run is not None
            assert run.status.value == "FAILURE"
        finally:
            process.kill()


def test_a_database_that_is_out_of_reach_is_named(settings: Settings) -> None:
    deliver(settings, lines([event("a")]))
    where = "postgresql://audit@/audit?host=/nowhere"
    refused = audit(settings, "run", check=False, AUDIT_DAGSTER_STORAGE=where)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert "AUDIT_DAGSTER_STORAGE" in refused.stderr
    assert "/nowhere" in refused.stderr


@pytest.mark.parametrize("url", ["postgres:dbname=audit", "postgresql://audit:secret@db/audit"])
def test_what_is_no_url_or_has_a_password_is_refused(settings: Settings, url: str) -> None:
    refused = audit(settings, "status", check=False, AUDIT_DAGSTER_STORAGE=url)
    assert refused.returncode == 2
    assert "AUDIT_DAGSTER_STORAGE" in refused.stderr
    assert "secret" not in refused.stderr


def test_a_session_that_the_server_ended_is_begun_again(shared: Settings) -> None:
    from orchestration.postgres_storage import RunsOfAllMachines, _connected

    assert shared.dagster_storage
    first, second = str(uuid4()), str(uuid4())
    living, others = RunsOfAllMachines(shared.dagster_storage), RunsOfAllMachines(shared.dagster_storage)
    living.begin(first)
    with _connected(shared.dagster_storage) as session, session.cursor() as cursor:
        cursor.execute("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'")
    # From then on both are held again.
    living.begin(second)
    for run_id in (first, second):
        with others.looked_at(run_id) as is_dead:
            assert not is_dead
    living.end(first)
    living.begin(str(uuid4()))
    with others.looked_at(first) as is_dead:
        assert is_dead
    living.close()
