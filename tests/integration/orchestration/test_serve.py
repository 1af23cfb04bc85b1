"""`audit serve` as a person uses it: the web server, the daemon, and a backfill that is launched in the UI."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from filelock import FileLock

from activity_audit.base.hours import HOUR as ONE_HOUR
from activity_audit.base.hours import partition_key
from activity_audit.settings.core import Settings
from orchestration import instance as dagster_instance
from tests.integration.support import (
    AUDIT,
    HOUR,
    audit,
    deliver,
    event,
    lines,
    modules_that_tell,
    one,
    process_environment,
)
from tests.torture.figures import Figures
from tests.torture.state import require_well

_PATIENCE = 240

_LAUNCH = """
mutation($launch: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $launch) { ... on LaunchBackfillSuccess { backfillId } }
}
"""
_SCHEDULES = """
query {
  schedulesOrError(
    repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "activity_audit"}
  ) { ... on Schedules { results { name } } }
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
    with said.open("w") as output, said.with_name("said.errors").open("w") as errors:
        return subprocess.Popen(
            [*by, AUDIT, "serve", "--port", str(port), "--report-port", "0"],
            env=process_environment(settings),
            stdout=output,
            stderr=errors,
        )


def _links(said: Path) -> list[str]:
    return re.findall(r"^(?:Report|Dagster): (\S+)", said.read_text(), re.MULTILINE)


@dataclass
class _Dagster:
    """Dagster's pages as a reader meets them who opened the link."""

    browser: httpx.Client
    report: str
    url: str

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of a GraphQL answer, as a page of Dagster asks for it."""
        origin = self.url.removesuffix("/dagster/")
        answer = self.browser.post(
            f"{self.url}graphql", json={"query": query, "variables": variables}, headers={"Origin": origin}
        )
        if answer.status_code == 503:
            raise httpx.ConnectError("it is starting")
        return answer.json()["data"]


def _open(said: Path) -> _Dagster:
    """Open the link, and wait for Dagster."""
    report, url = _wait_for(lambda: len(found := _links(said)) == 2 and found)
    browser = httpx.Client(follow_redirects=True, timeout=60)
    dagster = _Dagster(browser, browser.get(report).text, url)
    nodes = "{repositoriesOrError {... on RepositoryConnection {nodes {location {name}}}}}"
    _wait_for(lambda: dagster.ask(nodes)["repositoriesOrError"]["nodes"] == [{"location": {"name": "activity_audit"}}])
    return dagster


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left(settings: Settings, tmp_path: Path, how: signal.Signals) -> None:
    serve = _serve(settings, _free_port(), tmp_path / "said")
    _open(tmp_path / "said").browser.close()
    # A web server, a daemon, and a server of the code for them.
    started = psutil.Process(serve.pid).children(recursive=True)
    assert len(started) >= 6
    web = _process(serve, "orchestration.serving.pages")
    assert web
    folder = Path(web.cmdline()[-1]).parent
    assert folder.exists()
    serve.send_signal(how)
    assert serve.wait(timeout=120) == (0 if how == signal.SIGTERM else -how)
    _wait_for(lambda: not any(map(_is_at_work, started)))
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no signal tells that a parent has ended")
@pytest.mark.parametrize(
    "killed",
    [["activity_audit.base.process_tree"], ["activity_audit.base.process_tree", "orchestration.serving.processes"]],
)
def test_dagster_ends_when_what_keeps_it_is_killed(settings: Settings, tmp_path: Path, killed: list[str]) -> None:
    """One daemon too many would run each hour twice; the next `audit serve` has the home and the port for itself."""
    port = _free_port()
    serve = _serve(settings, port, tmp_path / "said")
    _open(tmp_path / "said").browser.close()
    started = psutil.Process(serve.pid).children(recursive=True)
    assert all(_process(serve, name) for name in ("orchestration.serving.pages", "dagster-daemon", "code-server"))
    # The keeper has the name of what it keeps in its command, and comes first.
    keepers = [process for process in started if any(name in process.cmdline() for name in killed)]
    assert len(keepers) >= len(killed)
    for process in keepers:
        process.send_signal(signal.SIGKILL)
    assert serve.wait(timeout=60) == 1
    assert [process for process in started if _is_at_work(process)] == []
    assert "Dagster ended with exit code -9" in (tmp_path / "said.errors").read_text()
    again = _serve(settings, port, tmp_path / "again")
    try:
        _open(tmp_path / "again").browser.close()
    finally:
        again.send_signal(signal.SIGTERM)
        assert again.wait(timeout=120) == 0


def _is_at_work(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _process(serve: subprocess.Popen[bytes], *words: str) -> psutil.Process | None:
    """The process of `audit serve` that has these words in its command; the one that started it comes first."""
    for process in psutil.Process(serve.pid).children(recursive=True):
        if all(any(word in part for part in process.cmdline()) for word in words):
            return process
    return None


@pytest.mark.slow
def test_only_the_door_leads_to_dagster(settings: Settings, tmp_path: Path) -> None:
    """Nothing else of it can be reached over a port, or by another user of this machine; and what ends it is told."""
    port = _free_port()
    serve = _serve(settings, port, tmp_path / "said")
    try:
        dagster = _open(tmp_path / "said")
        processes = [psutil.Process(serve.pid), *psutil.Process(serve.pid).children(recursive=True)]
        found = [connection for process in processes for connection in process.net_connections("inet")]
        ours = int(dagster.url.split(":")[2].split("/")[0])
        assert {found.laddr.port for found in found if found.status == psutil.CONN_LISTEN} == {port, ours}
        # The old address leads to the door, and answers monitoring.
        assert b"audit_warehouse_readable 1.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").content
        checks = httpx.get(f"http://127.0.0.1:{port}/health/ready").json()["checks"]
        assert checks == {"warehouse": True, "pages": True}
        moved = httpx.get(f"http://127.0.0.1:{port}/runs/x?a=b")
        assert (moved.status_code, moved.headers["location"]) == (307, f"{dagster.url}runs/x?a=b")
        assert httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": "{version}"}).status_code == 501
        sockets = {c.laddr for process in processes for c in process.net_connections("unix") if c.laddr}
        assert len([at for at in sockets if str(at).startswith("/")]) >= 3
        if os.geteuid() == 0:
            tried = subprocess.run(
                ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", sys.executable, "-c", _TRIES]
                + [str(at) for at in sockets if str(at).startswith("/")],
                capture_output=True,
                text=True,
                check=False,
            )
            assert set(tried.stdout.split()) == {"PermissionError"}, tried
        # What Dagster itself would execute is refused once more, should the door ever let it through.
        web = _process(serve, "orchestration.serving.pages")
        assert web
        inside = next(part for part in web.cmdline() if part.endswith(".sock"))
        with httpx.Client(transport=httpx.HTTPTransport(uds=inside), base_url="http://x/dagster", timeout=60) as past:
            for answer in (
                past.get("/graphql", params={"query": _STOP}),
                past.post("/graphql", json={"query": _STOP}),
                past.get("/graphql", params={"query": _STOP}, headers={"X-Audit-May-Launch": "1"}),
            ):
                assert answer.status_code == 403, answer.text
            # Its pages offer nobody what would be refused.
            offered = "{permissions {permission value}}"
            for headers, expected in (({}, {False}), ({"X-Audit-May-Launch": "1"}, {True})):
                given = past.post("/graphql", json={"query": offered}, headers=headers).json()["data"]["permissions"]
                assert {one["value"] for one in given if one["permission"] == "launch_pipeline_execution"} == expected
        code = _process(serve, "code-server")
        assert code
        code.kill()
        _wait_for(lambda: (again := _process(serve, "code-server")) and again.pid != code.pid and _is_at_work(again))
        _wait_for(lambda: dagster.ask(_SCHEDULES)["schedulesOrError"].get("results"))
        daemon = _process(serve, "dagster-daemon")
        assert daemon
        daemon.kill()
        assert serve.wait(timeout=120) == 1
        assert "Dagster's daemon ended" in (tmp_path / "said.errors").read_text()
    finally:
        serve.terminate()
        serve.wait(timeout=120)


# Each socket, as somebody else meets it.
_TRIES = """
import socket, sys
for at in sys.argv[1:]:
    try:
        socket.socket(socket.AF_UNIX).connect(at)
        print("open", at)
    except OSError as error:
        print(type(error).__name__)
"""
_STOP = 'mutation {stopRunningSchedule(id: "x") {__typename}}'


@pytest.mark.slow
def test_a_backfill_of_everything_is_one_run(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a working directory with modules of others, none of which is imported."""
    # Nothing is landed yet that would say so.
    monkeypatch.setenv("AUDIT_FIRST_HOUR", f"{HOUR:%Y-%m-%dT%H:%MZ}")
    marked = modules_that_tell(tmp_path)
    for hour in range(3):
        deliver(settings, lines([event(f"{hour}")]), hour=hour)
    said = settings.home / "said"
    serve = _serve(settings, _free_port(), said)
    try:
        dagster = _open(said)
        assert 'href="/dagster/"' in dagster.report
        nodes = dagster.ask("{assetNodes{assetKey{path} isExecutable}}")["assetNodes"]
        launch = {
            "assetSelection": [{"path": node["assetKey"]["path"]} for node in nodes if node["isExecutable"]],
            "partitionNames": [partition_key(HOUR + hour * ONE_HOUR) for hour in range(3)],
        }
        backfill = dagster.ask(_LAUNCH, launch=launch)["launchPartitionBackfill"]["backfillId"]

        def done() -> Any:
            progress = dagster.ask(_PROGRESS, id=backfill)["partitionBackfillOrError"]
            return progress if progress["status"].startswith(("COMPLETED", "FAILED")) else None

        assert _wait_for(done) == {"status": "COMPLETED_SUCCESS", "runs": [{"status": "SUCCESS"}]}
        assert one(settings, "select count(*) from fact_activity_event") == 3
        assert not marked.exists()
    finally:
        serve.send_signal(signal.SIGINT)
        assert serve.wait(timeout=60) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(dagster.url)


@pytest.mark.slow
def test_an_hour_before_the_first_is_run_while_dagster_goes_on(settings: Settings, tmp_path: Path) -> None:
    """Its delivery came late; no tick fails of it. A second `audit serve` would be a second daemon, and is refused."""
    deliver(settings, lines([event("first")]), hour=48)
    audit(settings, "run")
    said = tmp_path / "said"
    serve = _serve(settings, _free_port(), said)
    try:
        dagster = _open(said)
        second = audit(settings, "serve", "--port", str(_free_port()), "--report-port", "0", check=False)
        assert second.returncode == 1
        assert f"another `audit serve` uses this home: process {serve.pid} on " in second.stderr
        keys = '{assetNodeOrError(assetKey: {path: ["raw", "search"]}) {... on AssetNode {partitionKeys}}}'
        assert dagster.ask(keys)["assetNodeOrError"]["partitionKeys"][0] == partition_key(HOUR + 48 * ONE_HOUR)
        deliver(settings, lines([event("older")]))
        _wait_for(lambda: one(settings, "select count(*) from fact_activity_event") == 2)
        _wait_for(lambda: dagster.ask(keys)["assetNodeOrError"]["partitionKeys"][0] == partition_key(HOUR))
        assert "Dagster has loaded its code again" in said.with_name("said.errors").read_text()
        with dagster_instance.instance(settings) as instance:
            for state in instance.all_instigator_state():
                ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id)
                assert not [tick.error for tick in ticks if tick.error]
    finally:
        serve.send_signal(signal.SIGINT)
        assert serve.wait(timeout=120) == 0


@pytest.mark.torture
def test_a_run_that_dies_with_its_machine_is_done_again(settings: Settings) -> None:
    """All of it is killed while the daemon's run is under way, and started again on a machine of another name.

    Nothing else happens: the next tick does again what was lost.
    """
    figures = Figures("a machine restarts under `audit serve`")
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
            started = time.monotonic()
            _wait_for(lambda: statuses() == ["SUCCESS", "FAILURE"])
            figures.most(longest_healing_s=time.monotonic() - started)
        finally:
            serve.send_signal(signal.SIGINT)
            assert serve.wait(timeout=120) == 0
    assert "1 dead run was marked as failed" in said.read_text()
    figures.add(rounds=1, faults=1)
    require_well(settings, ["first"], figures)


@pytest.mark.torture
def test_any_process_of_serve_is_killed_at_any_moment(settings: Settings, rounds: int, seed: int) -> None:
    """`audit serve` goes on, or it ends and says why. Nothing of it is left, and the next run finds all as it must be.

    It is the server itself, what keeps Dagster, its daemon, its web server, a code server, or the process of a run.
    """
    figures, moments, ids = Figures("kill -9 of any process of `audit serve`"), random.Random(seed), []
    settings.home.mkdir(exist_ok=True)
    said = settings.home / "said"
    for number in range(max(1, rounds // 20)):
        ids.append(f"e{number}")
        deliver(settings, lines([event(ids[-1])]), f"{number}.ndjson")
        serve = _serve(settings, _free_port(), said)
        server = psutil.Process(serve.pid)
        time.sleep(moments.uniform(1, 30))
        kinds: dict[str, psutil.Process] = {}
        for process in (server, *server.children(recursive=True)):
            with suppress(psutil.Error):
                kinds.setdefault(" ".join(process.cmdline()[1:4]), process)
        kind = moments.choice(sorted(kinds))
        context = f"round {number} of seed {seed}: {kind}"
        everything = [server, *server.children(recursive=True)]
        kinds[kind].kill()
        figures.add(rounds=1, faults=1)
        time.sleep(moments.uniform(1, 15))
        with suppress(psutil.NoSuchProcess):
            everything += server.children(recursive=True)
        # One that is about to end has given its handlers back.
        allowed = [1, -signal.SIGKILL]
        if serve.poll() is None:
            serve.send_signal(signal.SIGINT)
            allowed += [0, -signal.SIGINT]
        code = serve.wait(timeout=120)
        assert code in allowed, context
        assert (code == -signal.SIGKILL) == (kinds[kind].pid == serve.pid), context
        if code == 1:
            assert "Dagster ended with exit code" in said.with_name("said.errors").read_text(), context
        _wait_for(lambda started=everything: not any(map(_is_at_work, started)))
        audit(settings, "run")
        require_well(settings, ids, figures)
