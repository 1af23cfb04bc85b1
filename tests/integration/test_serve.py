"""`audit serve` as a person uses it: the web server, the daemon, and a backfill that is launched in the UI."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from filelock import FileLock

from orchestration import dagster_instance
from orchestration.hours import HOUR as ONE_HOUR
from orchestration.hours import partition_key
from orchestration.settings import Settings
from tests.integration.support import AUDIT, HOUR, deliver, event, lines, modules_that_tell, one, process_environment

_PATIENCE = 240

_LAUNCH = """
mutation($launch: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $launch) { ... on LaunchBackfillSuccess { backfillId } }
}
"""
_PROGRESS = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status runs { status } } }
}
"""


def _wait_for(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            if found := what():
                return found
        except (OSError, httpx.TransportError, psutil.Error):
            pass
        time.sleep(1)
    raise AssertionError("waited in vain")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _serve(settings: Settings, port: int, said: Path, by: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    with said.open("w") as output:
        return subprocess.Popen(
            [*by, AUDIT, "serve", "--port", str(port), "--report-port", "0"],
            env=process_environment(settings),
            stdout=output,
            stderr=subprocess.DEVNULL,
        )


def _links(said: Path) -> list[str]:
    return re.findall(r"^(?:Report|Dagster): (\S+)", said.read_text(), re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left(settings: Settings, tmp_path: Path, how: signal.Signals) -> None:
    port = _free_port()
    serve = _serve(settings, port, tmp_path / "said")
    # A web server, a daemon, and a server of the code for them.
    started = _wait_for(
        lambda: (
            (found := psutil.Process(serve.pid).children(recursive=True))
            and any("dagster_webserver" in one.cmdline() for one in found)
            and len(found) >= 5
            and httpx.get(f"http://127.0.0.1:{port}/server_info").is_success
            and found
        )
    )
    serve.send_signal(how)
    assert serve.wait(timeout=120) == (0 if how == signal.SIGTERM else -how)
    _wait_for(lambda: not any(map(_is_at_work, started)))


def _is_at_work(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_backfill_of_everything_is_one_run(settings: Settings, tmp_path: Path) -> None:
    """In a working directory with modules of others, none of which is imported."""
    marked = modules_that_tell(tmp_path)
    for hour in range(3):
        deliver(settings, lines([event(f"{hour}")]), hour=hour)
    port = _free_port()

    def ask(query: str, **variables: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["data"]

    said = settings.home / "said"
    serve = _serve(settings, port, said)
    try:
        report, dagster = _wait_for(lambda: _links(said))
        assert dagster == f"http://127.0.0.1:{port}"
        nodes = _wait_for(lambda: ask("{assetNodes{assetKey{path} isExecutable}}")["assetNodes"])
        launch = {
            "assetSelection": [{"path": node["assetKey"]["path"]} for node in nodes if node["isExecutable"]],
            "partitionNames": [partition_key(HOUR + hour * ONE_HOUR) for hour in range(3)],
        }
        backfill = ask(_LAUNCH, launch=launch)["launchPartitionBackfill"]["backfillId"]

        def done() -> Any:
            progress = ask(_PROGRESS, id=backfill)["partitionBackfillOrError"]
            return progress if progress["status"].startswith(("COMPLETED", "FAILED")) else None

        assert _wait_for(done) == {"status": "COMPLETED_SUCCESS", "runs": [{"status": "SUCCESS"}]}
        assert one(settings, "select count(*) from fact_activity_event") == 3
        assert not marked.exists()
        with httpx.Client(follow_redirects=True, timeout=60) as browser:
            assert f'href="{dagster}"' in browser.get(report).text
    finally:
        serve.send_signal(signal.SIGINT)
        assert serve.wait(timeout=60) == 0
    for link in (report, dagster):
        with pytest.raises(httpx.ConnectError):
            httpx.get(link)


@pytest.mark.slow
def test_a_run_that_dies_with_its_machine_holds_up_nothing(settings: Settings) -> None:
    """All of it is killed while the daemon's run is under way, and started again on a machine of another name."""
    deliver(settings, lines([event("first")]))
    settings.home.mkdir(exist_ok=True)
    said = settings.home / "said"
    with dagster_instance.instance(settings) as instance:

        def statuses() -> list[str]:
            return [run.status.value for run in instance.get_runs()]

        with FileLock(settings.warehouse_lock):
            serve = _serve(settings, _free_port(), said)
            try:
                # The run has begun, and waits for the warehouse.
                _wait_for(lambda: statuses() == ["STARTED"])
            finally:
                everything = [psutil.Process(serve.pid), *psutil.Process(serve.pid).children(recursive=True)]
                for process in everything:
                    process.suspend()
                for process in everything:
                    process.kill()
                serve.wait()
        assert statuses() == ["STARTED"]
        elsewhere = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]
        serve = _serve(settings, _free_port(), said, elsewhere if os.geteuid() == 0 else [])
        try:
            _wait_for(lambda: statuses() == ["FAILURE"])
            deliver(settings, lines([event("second")]), hour=1)
            _wait_for(lambda: statuses() == ["SUCCESS", "FAILURE"])
        finally:
            serve.send_signal(signal.SIGINT)
            assert serve.wait(timeout=120) == 0
    assert "1 dead run was marked as failed" in said.read_text()
    assert one(settings, "select count(*) from fact_activity_event") == 2
