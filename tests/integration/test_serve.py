"""`audit serve` as a person uses it: the web server, the daemon, and a backfill that is launched in the UI."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from orchestration.hours import HOUR as ONE_HOUR
from orchestration.hours import partition_key
from orchestration.settings import Settings
from tests.integration.support import AUDIT, HOUR, deliver, event, lines, one, process_environment

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
        except OSError:
            pass
        time.sleep(1)
    raise AssertionError("waited in vain")


@pytest.mark.slow
def test_a_backfill_of_everything_is_one_run(settings: Settings) -> None:
    for hour in range(3):
        deliver(settings, lines([event(f"{hour}")]), hour=hour)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def ask(query: str, **variables: Any) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())["data"]

    said = settings.home / "said"
    with said.open("w") as output:
        serve = subprocess.Popen(
            [AUDIT, "serve", "--port", str(port), "--report-port", "0"],
            env=process_environment(settings),
            stdout=output,
            stderr=subprocess.DEVNULL,
        )
    try:
        report, dagster = _wait_for(lambda: re.findall(r"^(?:Report|Dagster): (\S+)", said.read_text(), re.MULTILINE))
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
        with httpx.Client(follow_redirects=True, timeout=60) as browser:
            assert f'href="{dagster}"' in browser.get(report).text
    finally:
        serve.send_signal(signal.SIGINT)
        assert serve.wait(timeout=60) == 0
    for link in (report, dagster):
        with pytest.raises(httpx.ConnectError):
            httpx.get(link)
