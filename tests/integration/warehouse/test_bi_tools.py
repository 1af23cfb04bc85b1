"""The clients of docs/bi-tools.md: what stands there works as it stands."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from activity_audit.settings.core import Settings

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs/bi-tools.md").read_text(encoding="utf-8")


def _code(title: str, language: str, settings: Settings) -> list[str]:
    section = re.split(r"^#+ (.*)$", DOCUMENT, flags=re.MULTILINE)
    text = section[section.index(title) + 1].replace("/path/to/var", str(settings.home))
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(params=["statements", "listener"])
def locked(request: pytest.FixtureRequest, report_home: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the warehouse attached and locked, by the statements of the document or by its listener."""
    connection = duckdb.connect()
    if request.param == "statements":
        for code in _code("BI tools", "sql", report_home):
            connection.execute(code)
    else:
        code = _code("SQLAlchemy", "python", report_home)[0]
        named: dict[str, Any] = {}
        exec(code.split("with engine.connect()")[0].replace("duckdb:///:memory:", "sqlite://"), named)
        named["attach"](connection, None)
    yield connection
    connection.close()


def test_a_locked_connection_reads_the_warehouse_and_no_file(
    locked: duckdb.DuckDBPyConnection, tmp_path: Path, report_home: Settings
) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    assert locked.execute("select count(*) from fact_activity_event").fetchall() == [(100,)]
    # Readers that open the catalog while it is locked down, too.
    assert locked.execute("select max(snapshot_id) > 0 from audit.snapshots()").fetchall() == [(True,)]
    for statement in (
        f"from '{other}'",
        f"from read_text('{other}')",
        f"from glob('{tmp_path}/*')",
        f"copy (select 1) to '{tmp_path}/leak.csv'",
        f"attach '{tmp_path}/new.db'",
        f"from read_text('{report_home.home}/warehouse/../raw/index.sqlite')",
        "set enable_external_access = true",
        "reset lock_configuration",
        "install httpfs",
        "delete from fact_activity_event",
    ):
        with pytest.raises(duckdb.Error):
            locked.execute(statement)
    assert [path.name for path in tmp_path.iterdir()] == ["other.csv"]


STRING = "ducklake:sqlite:/path/to/var/warehouse/catalog.sqlite"
URL = f"duckdb:///{STRING}?access_mode=read_only"


def test_one_string_is_enough(report_home: Settings) -> None:
    assert f"`{STRING}`" in DOCUMENT
    assert f"`{URL}`" in DOCUMENT
    count = "select count(*) from fact_activity_event"
    with duckdb.connect(STRING.replace("/path/to/var", str(report_home.home)), read_only=True) as connection:
        assert connection.execute(count).fetchall() == [(100,)]
        with pytest.raises(duckdb.Error, match="attached in read-only mode"):
            connection.execute("delete from fact_activity_event")
    engine = sa.create_engine(URL.replace("/path/to/var", str(report_home.home)))
    with engine.connect() as connection:
        assert connection.execute(sa.text(count)).scalar() == 100
    assert "fact_activity_event" in sa.inspect(engine).get_table_names(schema="main")
    engine.dispose()


def test_sqlalchemy(report_home: Settings) -> None:
    named: dict[str, Any] = {}
    for code in _code("SQLAlchemy", "python", report_home):
        exec(code, named)
    assert named["frame"].values.tolist() == [["SUCCESS", 100]]
    assert "fact_activity_event" in named["tables"]
    assert named["events"] == 100
    named["engine"].dispose()


def test_the_sources_of_another_dbt_project_are_the_models() -> None:
    script = runpy.run_path(str(ROOT / "scripts/dbt_sources.py"))
    assert script["DOCUMENT"].read_text(encoding="utf-8") == script["expected"](), "run `make docs`"


@pytest.mark.slow
def test_another_dbt_project_builds_on_the_warehouse(report_home: Settings, tmp_path: Path) -> None:
    project = tmp_path / "downstream"
    shutil.copytree(ROOT / "deploy/dbt", project)
    dbt = Path(sys.executable).with_name("dbt")
    environment = {**os.environ, "AUDIT_HOME": str(report_home.home)}
    done = subprocess.run([dbt, "build"], cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    with duckdb.connect(str(project / "downstream.duckdb")) as connection:
        assert connection.execute("select * from failures_by_day").fetchall() == []


def test_python(report_home: Settings) -> None:
    (code,) = _code("Python and pandas", "python", report_home)
    named: dict[str, Any] = {}
    exec(code, named)
    assert named["frame"]["events"].sum() == 100
    assert str(named["frame"]["event_hour_utc"].dtype) == "datetime64[us]"
    named["con"].close()
