"""The job whose steps are ops of their own: in one process, in several, and by Celery's workers on a real queue."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml

from activity_audit.evidence.verify.verify import verify
from activity_audit.ingest.landing import open_index
from activity_audit.pipeline.status import set_aside
from activity_audit.raw.lake import local_lake
from activity_audit.settings.core import Settings, load_settings
from activity_audit.transform import parts, steps
from orchestration import instance
from orchestration.definitions import build_definitions
from orchestration.distributed import DISTRIBUTED
from tests.integration.pipeline.test_distributed import WINDOW, copied, land_history, landed_home
from tests.integration.support import VOLATILE, dump, one, process_environment, run, until
from tests.s3_server import Bucket

REPOSITORY = Path(__file__).parents[3]
EXECUTORS = ("in_process", "multiprocess", "celery", "kubernetes")
# Has every process of a run take small batches for large ones.
SMALL_IS_LARGE = "from activity_audit.transform import parts\nparts.FEWEST_RECORDS = 1\n"
OPS = {"land_and_plan", "parse[0]", "parse[1]", "meet", "judge[0]", "judge[1]", "publish"}


@pytest.fixture(scope="module")
def landed() -> Settings:
    return landed_home()


@pytest.fixture(scope="module")
def alone(landed: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The home after a run of one process; the tests read it only."""
    settings = copied(landed, tmp_path_factory.mktemp("alone"), 1)
    run(settings, 1, 3)
    return settings


def configured() -> dict[str, object]:
    """The feed hours that are landed and not published, as the job's configuration."""
    hours = {"from_hour": WINDOW[0].isoformat(), "to_hour": WINDOW[1].isoformat()}
    return {"ops": {"land_and_plan": {"config": hours}}}


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_job_loads_for_each_executor(settings: Settings, executor: str) -> None:
    chosen = load_settings(home=settings.home, executor=executor, workers=2)
    job = build_definitions(chosen).resolve_job_def(DISTRIBUTED)
    assert executor.split("_")[0] in job.executor_def.name.replace("k8s", "kubernetes")


@pytest.mark.parametrize("is_small", [False, True], ids=["in two parts", "too small for parts"])
def test_a_run_in_one_process(
    landed: Settings, alone: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_small: bool
) -> None:
    if not is_small:
        monkeypatch.setattr(parts, "FEWEST_RECORDS", 1)
    settings = copied(landed, tmp_path, 1).model_copy(update={"executor": "in_process"})
    with instance.instance(settings) as opened:
        job = build_definitions(settings).resolve_job_def(DISTRIBUTED)
        result = job.execute_in_process(run_config=configured(), instance=opened)
    assert result.success
    done = {event.step_key for event in result.all_events if event.is_step_success}
    assert done == ({"land_and_plan"} if is_small else OPS)
    assert dump(settings) == dump(alone)
    assert verify(settings).intact
    assert is_small or not list(Path(settings.exchange_root).iterdir())


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What has every Python process take small batches for large ones."""
    (tmp_path / "patched").mkdir()
    (tmp_path / "patched" / "sitecustomize.py").write_text(SMALL_IS_LARGE)
    return {"PYTHONPATH": str(tmp_path / "patched"), "AUDIT_WORKERS": "2"}


def executed(settings: Settings, environment: dict[str, str]) -> None:
    """Run the job as Dagster's own command does, for the executor of the environment."""
    folder = instance.prepare(settings)
    config = settings.home.parent / "config.yaml"
    config.write_text(yaml.safe_dump(configured()))
    dagster = Path(sys.executable).with_name("dagster")
    command = [dagster, "job", "execute", "-m", "orchestration.definitions", "-j", DISTRIBUTED, "-c", config]
    given = process_environment(settings, DAGSTER_HOME=str(folder), **environment)
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.mark.slow
def test_a_run_in_several_processes(
    landed: Settings, alone: Settings, tmp_path: Path, environment: dict[str, str]
) -> None:
    settings = copied(landed, tmp_path, 2)
    executed(settings, environment)
    assert dump(settings) == dump(alone)
    assert verify(settings).intact


@contextmanager
def queue(folder: Path) -> Iterator[str]:
    """A Redis server on a Unix socket of its own; its address, as Celery wants it."""
    server = shutil.which("redis-server")
    if server is None:
        pytest.skip("redis-server is not installed; `make system-packages` installs it")
    socket = folder / "redis.sock"
    command = [server, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until(socket.exists, 30)
        yield f"redis+socket://{socket}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def celery_worker(name: str, settings: Settings, environment: dict[str, str]) -> Iterator[None]:
    """A worker as the documentation starts it, on a home that it shares with the run."""
    command = Path(sys.executable).with_name("dagster-celery")
    config = REPOSITORY / "deploy/celery/worker.yaml"
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    given = process_environment(settings, DAGSTER_HOME=str(settings.dagster_home), PATH=path, **environment)
    with (settings.home.parent / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [command, "worker", "start", "-A", "dagster_celery.app", "-y", config, "-n", f"{name}@test",
             "--", "-c", "1"],
            env=given, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)


@pytest.mark.slow
def test_a_run_by_two_workers_of_celery(
    landed: Settings, alone: Settings, tmp_path: Path, environment: dict[str, str]
) -> None:
    settings = copied(landed, tmp_path, 2)
    instance.prepare(settings)
    with instance.instance(settings):
        pass
    (tmp_path / "queue").mkdir()
    with ExitStack() as stack:
        broker = stack.enter_context(queue(tmp_path / "queue"))
        given = environment | {"AUDIT_EXECUTOR": "celery", "AUDIT_CELERY_BROKER": broker}
        for name in ("one", "two"):
            stack.enter_context(celery_worker(name, settings, given))
        executed(settings, given)
    assert dump(settings) == dump(alone)
    assert verify(settings).intact
    for name in ("one", "two"):
        assert "succeeded" in (tmp_path / f"{name}.log").read_text()


@pytest.mark.slow
def test_a_run_whose_places_are_in_a_bucket(
    alone: Settings, tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {"data_path": f"{bucket.url}/lake", "raw_path": f"{bucket.url}/raw", "exchange_path": f"{bucket.url}/x"}
    settings = load_settings(
        home=tmp_path / "home", feed_url=str(tmp_path / "landing"), executor="in_process", **places
    )
    land_history(settings)
    monkeypatch.setattr(parts, "FEWEST_RECORDS", 1)
    with instance.instance(settings) as opened:
        job = build_definitions(settings).resolve_job_def(DISTRIBUTED)
        assert job.execute_in_process(run_config=configured(), instance=opened).success
    elsewhere = VOLATILE | {"source_uri"}
    assert dump(settings, elsewhere) == dump(alone, elsewhere)
    assert verify(settings).intact
    assert bucket.keys("x/") == []


def job_of_environment() -> dg.JobDefinition:
    return build_definitions(load_settings()).resolve_job_def(DISTRIBUTED)


@pytest.mark.slow
def test_a_run_that_failed_goes_on_from_there(
    landed: Settings, alone: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is complete of it stays: the parts are not parsed again, and it has the id of the first."""
    settings = copied(landed, tmp_path, 1)
    for name, value in (("HOME", settings.home), ("FEED_URL", settings.feed_url), ("EXECUTOR", "in_process")):
        monkeypatch.setenv(f"AUDIT_{name}", str(value))
    monkeypatch.setattr(parts, "FEWEST_RECORDS", 1)
    job = dg.reconstructable(job_of_environment)
    with instance.instance(settings) as opened:
        with monkeypatch.context() as broken:
            broken.setattr(steps, "judge", refuse)
            failed = dg.execute_job(job, opened, run_config=configured(), raise_on_error=False)
        assert not failed.success
        again = dg.ReexecutionOptions.from_failure(failed.run_id, opened)
        done = dg.execute_job(job, opened, run_config=configured(), reexecution_options=again)
        assert {event.step_key for event in done.all_events if event.is_step_success} == {
            "judge[0]", "judge[1]", "publish",
        }  # fmt: skip
    assert dump(settings) == dump(alone)
    assert one(settings, "select distinct run_id from fact_activity_event where event_id = 'met'") == failed.run_id
    assert not list(Path(settings.exchange_root).iterdir())


def refuse(*_: object) -> None:
    raise RuntimeError("no room")


@pytest.mark.slow
def test_a_delivery_that_breaks_its_part_is_set_aside(
    landed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "FEWEST_RECORDS", 1)
    settings = copied(landed, tmp_path, 1).model_copy(update={"executor": "in_process"})
    (broken,) = [
        delivery
        for delivery in open_index(local_lake(settings.raw_dir)).deliveries(["qm"], WINDOW)
        if delivery.feed_hour == WINDOW[0] + timedelta(hours=1)
    ]
    (settings.raw_dir / broken.raw_path).write_bytes(b"PAR1 no more PAR1")
    with instance.instance(settings) as opened:
        job = build_definitions(settings).resolve_job_def(DISTRIBUTED)
        result = job.execute_in_process(run_config=configured(), instance=opened)
    assert result.success
    assert {event.step_key for event in result.all_events if event.is_step_success} == {
        "land_and_plan", "parse[0]", "parse[1]", "meet",
    }  # fmt: skip
    assert [found.source_uri for found in set_aside(settings, ["qm"])] == [broken.source_uri]
    assert one(settings, "select count(*) from fact_activity_event where feed = 'qm'") > 50
    assert not list(Path(settings.exchange_root).iterdir())
