"""Apache Superset on the warehouse, as deploy/superset starts it: the dashboard shows, and SQL reaches no file."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml

from activity_audit.dbt_runner import project
from activity_audit.settings.core import Settings
from activity_audit.warehouse.contract import published_models
from tests.integration.support import one, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = Path(__file__).parents[2] / "deploy/superset"
_PORT = 18088
_URL = f"http://127.0.0.1:{_PORT}"
_PASSWORD = "correct horse"


def test_the_data_sets_are_the_public_tables() -> None:
    models = {model.name: model for model in published_models(project.manifest())}
    files = sorted((FOLDER / "bundle/datasets/Activity_audit").iterdir())
    assert files
    for path in files:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        model = models[path.stem]
        assert (given["schema"], given["table_name"]) == (model.schema, model.name)
        assert [(column["column_name"], column["description"]) for column in given["columns"]] == [
            (column.name, column.description) for column in model.columns
        ], path.name


def test_the_dashboard_has_every_chart() -> None:
    charts = {yaml.safe_load(path.read_text())["uuid"] for path in (FOLDER / "bundle/charts").iterdir()}
    board = yaml.safe_load((FOLDER / "bundle/dashboards/Activity_audit.yaml").read_text())
    placed = [part for part in board["position"].values() if isinstance(part, dict) and part["type"] == "CHART"]
    assert {part["meta"]["uuid"] for part in placed} == charts


@pytest.fixture(scope="module")
def superset(home: Settings, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a Superset; to install it takes minutes, so the environment is kept for the next tests."""
    assert request.config.cache
    state = tmp_path_factory.mktemp("superset")
    environment = {
        **os.environ,
        "AUDIT_HOME": str(home.home),
        "SUPERSET_HOME": str(state),
        "SUPERSET_VENV": os.environ.get("SUPERSET_VENV", str(request.config.cache.mkdir("superset") / "venv")),
        "SUPERSET_PORT": str(_PORT),
        "SUPERSET_ADMIN_PASSWORD": _PASSWORD,
    }
    with subprocess.Popen([FOLDER / "start"], env=environment, stdout=subprocess.DEVNULL) as server:
        try:
            until(lambda: server.poll() is not None or _answers(), 1200)
            assert server.poll() is None, (state / "setup.log").read_text()[-2000:]
            yield _URL
        finally:
            server.send_signal(signal.SIGTERM)


def _answers() -> bool:
    try:
        return httpx.get(f"{_URL}/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.slow
def test_the_dashboard_shows_the_report_s_pictures(superset: str, home: Settings, browser: Browser) -> None:
    from playwright.sync_api import expect

    page = browser.new_page(viewport={"width": 1400, "height": 2600})
    page.goto(f"{superset}/login/")
    page.locator("#username").fill("admin")
    page.locator("#password").fill(_PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/superset/welcome/")
    page.goto(f"{superset}/superset/dashboard/activity-audit/")
    events = one(home, "select count(*) from fact_activity_event")
    expect(page.locator(".superset-legacy-chart-big-number").first).to_have_text(f"{events:,}", timeout=120_000)
    # Three pictures, and three tables with rows.
    expect(page.locator("canvas")).to_have_count(3, timeout=120_000)
    for title in ("Entities and activities", "Feeds", "Newest events"):
        chart = page.locator(".dashboard-component-chart-holder", has_text=title)
        expect(chart.locator("tbody tr").first).to_be_visible(timeout=120_000)
    expect(page.get_by_text("Data error")).to_have_count(0)
    page.close()


@pytest.mark.slow
def test_sql_lab_reads_the_warehouse_and_no_file(superset: str, home: Settings, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not to be seen")
    given = {"username": "admin", "password": _PASSWORD, "provider": "db"}
    with httpx.Client(base_url=f"{superset}/api/v1", timeout=60) as client:
        token = client.post("/security/login", json=given).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        client.headers["X-CSRFToken"] = client.get("/security/csrf_token/").json()["result"]
        (database,) = client.get("/database/").json()["result"]

        def asked(sql: str) -> Any:
            question = {"database_id": database["id"], "sql": sql, "schema": "main", "client_id": os.urandom(5).hex()}
            return client.post("/sqllab/execute/", json=question)

        events = one(home, "select count(*) from fact_activity_event")
        assert asked("select count(*) as n from fact_activity_event").json()["data"] == [{"n": events}]
        for sql in (
            f"select * from read_text('{secret}')",
            f"select * from '{secret}'",
            f"select * from glob('{tmp_path}/*')",
            "select * from read_text('/etc/passwd')",
            "delete from fact_activity_event",
        ):
            answer = asked(sql)
            assert answer.status_code >= 400, sql
            assert "not to be seen" not in answer.text
    assert one(home, "select count(*) from fact_activity_event") == events
