"""The services of `deploy/compose/compose.yaml`: what it says, and each of them as a process of this machine."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from activity_audit.evidence.verify.verify import verify
from activity_audit.settings.core import VARIABLES, Settings, load_settings
from orchestration import instance
from tests.integration.postgres_server import INITDB, PostgresServer, postgres_server
from tests.integration.report_support import PERIOD, sign_in
from tests.integration.support import HOUR, event, lines, query, until

FOLDER = Path(__file__).parents[3] / "deploy" / "compose"
ROOT = FOLDER.parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("dagster", "worker", "report")
# Has every process of a run take small batches for large ones.
SMALL_IS_LARGE = "from activity_audit.transform import parts\nparts.FEWEST_RECORDS = 1\n"


def test_every_service_is_named_and_only_this_machine_reaches_it() -> None:
    assert set(SERVICES) == {"postgres", "s3", "redis", *OURS}
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        for volume in service.get("volumes", ()):
            place = volume.partition(":")[0]
            # The operator makes this file.
            assert place in COMPOSE["volumes"] or place == "./users.toml" or (FOLDER / place).exists(), place
    assert (FOLDER / COMPOSE["x-audit"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / COMPOSE["x-audit"]["build"]["dockerfile"]).exists()
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8")
    assert {"deploy/compose/secrets.env", "deploy/compose/users.toml"} <= set(ignored.splitlines())


def test_every_setting_is_one() -> None:
    for name in OURS:
        given = SERVICES[name]["environment"]
        ours = {key: str(value) for key, value in given.items() if key.startswith("AUDIT_")}
        assert set(ours) <= set(VARIABLES), name
        assert set(given) - set(ours) <= {"AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "DAGSTER_HOME"}
    secrets = (FOLDER / "secrets.env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(\w+)=", secrets, re.MULTILINE)) == {
        "POSTGRES_PASSWORD", "PGPASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
    }  # fmt: skip
    (identity,) = json.loads((FOLDER / "s3.json").read_text(encoding="utf-8"))["identities"]
    (credentials,) = identity["credentials"]
    assert f"AWS_SECRET_ACCESS_KEY={credentials['secretKey']}\n" in secrets


def _free_port() -> int:
    """A free port, whose number plus 10,000 is one as well: SeaweedFS takes that, too."""
    for port in random.sample(range(20_000, 30_000), 100):
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Stack:
    """The services as processes; the hosts' names become addresses of this machine."""

    def __init__(self, folder: Path, server: PostgresServer, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack
        self._ports = {port: str(_free_port()) for port in ("3000", "8080", "8081", "8333", "6379")}
        self._words = {
            "host=postgres": f"host={server.folder}",
            "@postgres/dagster": f"@/dagster?host={server.folder}",
            "/var/audit": str(folder / "home"),
            "/etc/audit/users.toml": str(folder / "users.toml"),
            "/etc/seaweedfs": str(FOLDER),
            "=/data": f"={folder}/data",
            "0.0.0.0": "127.0.0.1",
            "http://s3:": "http://127.0.0.1:",
            "redis://redis:": "redis://127.0.0.1:",
        }
        secrets = (FOLDER / "secrets.env.example").read_text(encoding="utf-8")
        self._secrets = dict(re.findall(r"^(\w+)=(.*)$", secrets, re.MULTILINE))
        self.processes: dict[str, subprocess.Popen] = {}

    def here(self, text: str) -> str:
        """A word of the file as it is on this machine."""
        for theirs, ours in self._words.items():
            text = text.replace(theirs, ours)
        for port, own in self._ports.items():
            text = re.sub(rf"(?<!\d){port}(?!\d)", own, text)
        return text

    def environment(self, service: str) -> dict[str, str]:
        """The variables of a service."""
        given: Mapping[str, Any] = SERVICES[service].get("environment", {})
        return self._secrets | {name: self.here(str(value)) for name, value in given.items()}

    def start(self, service: str, program: str | None = None, *more: str, **variables: str) -> None:
        """Start a service by the words of the file; `program` stands for what the image begins with."""
        command = [self.here(str(word)) for word in SERVICES[service]["command"]]
        if program:
            command = [program, *command]
        elif shutil.which(command[0], path=str(Path(sys.executable).parent)):
            command[0] = str(Path(sys.executable).with_name(command[0]))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, **self.environment(service), "PATH": path, **variables}
        log = self._stack.enter_context((self.folder / f"{service}.log").open("wb"))
        process = subprocess.Popen(
            [*command, *more], env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
        self.processes[service] = process
        self._stack.callback(self._end, process)

    def _end(self, process: subprocess.Popen) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def said(self, service: str) -> str:
        """What a service has written."""
        return (self.folder / f"{service}.log").read_text(encoding="utf-8", errors="replace")

    def settings(self) -> Settings:
        """The settings of Dagster's service, with its credentials in this process."""
        return load_settings()


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """The servers that are not ours, started as the file says."""
    weed = Path(sys.executable).with_name("weed")
    redis = shutil.which("redis-server")
    if INITDB is None or redis is None or not weed.exists():
        pytest.skip("PostgreSQL, Redis or SeaweedFS is not installed; `make system-packages` and `make setup` do it")
    folder = tmp_path
    with postgres_server() as server, ExitStack() as ending:
        server.psql("create database audit owner audit")
        server.psql((FOLDER / "databases.sql").read_text(encoding="utf-8"))
        services = Stack(folder, server, ending)
        (folder / "data").mkdir()
        (folder / "home").mkdir(mode=0o700)
        ports = [f"-{name}.port={_free_port()}" for name in ("master", "volume", "filer")]
        services.start("s3", str(weed), "-ip=127.0.0.1", *ports)
        services.start("redis", None, "--bind", "127.0.0.1")
        for name, value in services.environment("dagster").items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AUDIT_APPLICATIONS", raising=False)
        yield services


@pytest.mark.slow
def test_the_services_work_together(stack: Stack, tmp_path: Path) -> None:
    """Feeds in the bucket are judged by a worker of the queue, published into PostgreSQL, and shown by the report."""
    password = "a password for the test"
    made = subprocess.run(
        [Path(sys.executable).with_name("audit"), "password", "reader", "--role", "analyst"],
        input=password, capture_output=True, text=True, check=True,
    )  # fmt: skip
    (tmp_path / "users.toml").write_text(made.stdout)
    (tmp_path / "users.toml").chmod(0o600)
    settings = stack.settings()
    until(lambda: _is_up(stack), 120)
    _put_feeds(settings)
    (tmp_path / "patched").mkdir()
    (tmp_path / "patched" / "sitecustomize.py").write_text(SMALL_IS_LARGE)
    small = {"PYTHONPATH": str(tmp_path / "patched")}
    stack.start("dagster", **small)
    until(lambda: "Report: " in stack.said("dagster"), 180)
    stack.start("worker", **small)
    until(lambda: "ready" in stack.said("worker"), 120)
    _run_the_job(settings, tmp_path, small)
    assert "succeeded" in stack.said("worker")
    assert query(settings, "select count(*) from fact_activity_event") == [(40,)], stack.said("worker")
    assert verify(settings).intact
    stack.start("report")
    until(lambda: "Report: " in stack.said("report"), 120)
    for service in ("dagster", "report"):
        url = stack.environment(service)["AUDIT_REPORT_URL"]
        with httpx.Client(base_url=url, follow_redirects=True, timeout=60) as reader:
            sign_in(reader, "reader", password)
            assert "qm-19" in reader.get(f"/?{PERIOD}").text
    for name in ("dagster", "worker", "report"):
        assert stack.processes[name].poll() is None, stack.said(name)


def _is_up(stack: Stack) -> bool:
    try:
        return httpx.get(stack.environment("dagster")["AWS_ENDPOINT_URL"], timeout=5).status_code < 500
    except httpx.HTTPError:
        return False


def _put_feeds(settings: Settings) -> None:
    import boto3

    client = boto3.client("s3")
    bucket, prefix = settings.feed_root.removeprefix("s3://").split("/", 1)
    for feed in ("search", "qm"):
        content = lines([event(f"{feed}-{n}") for n in range(20)])
        client.put_object(Bucket=bucket, Key=f"{prefix}/{feed}/{HOUR:%Y-%m-%d/%H}/a.ndjson", Body=content)


def _run_the_job(settings: Settings, folder: Path, variables: dict[str, str]) -> None:
    hours = {"from_hour": HOUR.isoformat(), "to_hour": HOUR.replace(hour=HOUR.hour + 1).isoformat()}
    config = folder / "run.yaml"
    config.write_text(yaml.safe_dump({"ops": {"land_and_plan": {"config": hours}}}))
    dagster = Path(sys.executable).with_name("dagster")
    home = instance.prepare(settings)
    done = subprocess.run(
        [dagster, "job", "execute", "-m", "orchestration.definitions", "-j", "distributed_run", "-c", config],
        env={**os.environ, "DAGSTER_HOME": str(home), **variables},
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
