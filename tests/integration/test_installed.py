"""The built wheel, installed by itself, in an empty folder: nothing of this checkout is there."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PRODUCT = ("activity_audit", "orchestration", "expectations", "dbt_project")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of this checkout without the internet."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh environment with the wheel, which has the dependencies of the tests' environment, but not this checkout.

    A `.pth` file leads to those, so that nothing is downloaded; the editable install of the checkout is a `.pth` file
    itself, and Python reads none behind another.
    """
    folder = tmp_path_factory.mktemp("installed") / "env"
    venv.create(folder, symlinks=True)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--disable-pip-version-check", wheel], check=True)
    subprocess.run(["chmod", "-R", "a-w", folder], check=True)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)


class Installed:
    """A user of the installed product: an empty working directory, and an empty home directory."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self.bin = environment / "bin"
        self.here, self.user = folder / "here", folder / "user"
        self.here.mkdir()
        self.user.mkdir()
        self.variables = {"PATH": f"{self.bin}:{os.defpath}", "HOME": str(self.user), "LANG": "C.UTF-8"}

    def __call__(self, program: str, *arguments: str, code: int = 0) -> str:
        """The output of a program, which must end with that exit code."""
        command = [self.bin / program, *arguments]
        done = subprocess.run(command, cwd=self.here, env=self.variables, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def installed(environment: Path, tmp_path: Path) -> Iterator[Installed]:
    """Two hours of feeds are delivered; at the end nothing is written but into the home."""
    before = _state(environment)
    user = Installed(environment, tmp_path)
    user("audit", "simulate", "--hours", "2", "--events-per-hour", "50")
    yield user
    assert _state(environment) == before
    assert [path.name for path in user.here.iterdir()] == ["var"]
    assert list(user.user.iterdir()) == []


def _state(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def test_every_file_of_the_product_is_in_the_wheel(wheel: Path) -> None:
    listed = subprocess.run(["git", "ls-files", *_PRODUCT], cwd=ROOT, check=True, capture_output=True, text=True)
    files = {name for name in listed.stdout.split("\n") if name and (ROOT / name).exists()}
    assert {name.split("/")[0] for name in files} == {*_PRODUCT}
    with zipfile.ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert files <= held
    # Nothing that was worked out, such as dbt's manifest, and no other folder.
    assert not [name for name in held if name.split("/")[0] not in _PRODUCT or "/target/" in name]


def test_an_installed_product_is_itself_alone(installed: Installed) -> None:
    # Nothing is published yet.
    installed("audit", "status", code=1)
    where = installed("python", "-P", "-c", "import activity_audit; print(activity_audit.__file__)")
    assert Path(where).is_relative_to(installed.bin.parent)


@pytest.mark.slow
def test_an_installed_product_runs_an_hour_and_shows_it(installed: Installed) -> None:
    installed("audit", "run")
    status = json.loads(installed("audit", "status", "--output", "json"))
    assert status["events"] > 0
    assert status["broken"] == []
    installed("audit", "verify")
    counted = json.loads(installed("audit", "sql", "select count(*) as n from fact_activity_event", "--output", "json"))
    assert counted == [{"n": status["events"]}]
    count = "select count(*) as n from {{ source('published', 'fact_activity_event') }}"
    shown = json.loads(installed("audit", "dbt", "show", "--quiet", "--output", "json", "--inline", count))
    assert shown["show"] == counted
    with _dagster(installed) as port:
        assert _locations(port) == [{"name": "activity_audit", "loadStatus": "LOADED"}]


@contextmanager
def _dagster(installed: Installed) -> Iterator[int]:
    """The port of Dagster's own command, as docs/operations.md has it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    home = installed.here / "var/dagster"
    command = [installed.bin / "python", "-P", "-m", "dagster", "dev", "-w", home / "workspace.yaml", "-p", str(port)]
    dagster = subprocess.Popen(command, cwd=installed.here, env={**installed.variables, "DAGSTER_HOME": str(home)})
    try:
        yield port
    finally:
        dagster.terminate()
        dagster.wait()


def _locations(port: int) -> object:
    """Dagster's code locations, once they are there."""
    asked = "{locationStatusesOrError {... on WorkspaceLocationStatusEntries {entries {name loadStatus}}}}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql", json.dumps({"query": asked}).encode(), {"Content-Type": "application/json"}
    )
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)["data"]["locationStatusesOrError"]["entries"]
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < end
            time.sleep(0.2)
