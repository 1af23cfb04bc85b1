"""The clients of docs/bi-tools.md: what stands there works as it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from activity_audit.settings.core import Settings

DOCUMENT = (Path(__file__).parents[3] / "docs/bi-tools.md").read_text(encoding="utf-8")


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
        (code,) = _code("SQLAlchemy", "python", report_home)
        named: dict[str, Any] = {}
        # DuckDB's dialect is not among our packages; the listener is called by hand.
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


def test_python(report_home: Settings) -> None:
    (code,) = _code("Python and pandas", "python", report_home)
    named: dict[str, Any] = {}
    exec(code, named)
    assert named["frame"]["events"].sum() == 100
    assert str(named["frame"]["event_hour_utc"].dtype) == "datetime64[us]"
    named["con"].close()
