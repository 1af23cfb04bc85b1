"""The roles and grants of the documents, word by word, on a PostgreSQL that has nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from activity_audit.settings.core import Settings
from activity_audit.warehouse import extensions, lake
from tests.integration.postgres_server import INITDB, PostgresServer, postgres_server
from tests.integration.support import deliver, event, lines, query, run, said

pytestmark = pytest.mark.skipif(INITDB is None, reason="PostgreSQL is not installed; `make system-packages` does it")

OPERATIONS = Path(__file__).parents[3] / "docs" / "operations.md"


@pytest.fixture(scope="module")
def fresh() -> Iterator[PostgresServer]:
    with postgres_server(superuser="postgres") as server:
        yield server


def _statements(begins: str) -> list[str]:
    """The statements of the one block of SQL in the document that begins with these words."""
    blocks = re.findall(r"^```sql\n(.*?)^```", OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if block.startswith(begins)]
    return [statement.strip() for statement in block.split(";") if statement.strip()]


def test_the_documented_roles_run_and_only_read(settings: Settings, fresh: PostgresServer, tmp_path: Path) -> None:
    fresh.psql(*_statements("create role audit login"))
    ours = {"catalog": fresh.dsn_of("audit", "audit"), "data_path": str(tmp_path / "data")}
    home = settings.model_copy(update=ours)
    deliver(home, lines([event("a"), "junk"]))
    run(home)
    fresh.psql(*_statements("create role reader login"), database="audit")
    # What comes later can be read as well.
    deliver(home, lines([event("b")]), hour=1)
    run(home, 1)
    reader = home.model_copy(update={"catalog": fresh.dsn_of("audit", "reader"), "home": tmp_path / "reader"})
    assert query(reader, "select event_id from fact_activity_event order by 1") == [("a",), ("b",)]
    assert query(reader, "select reasons from quality.quarantined_event") == [(["unparseable"],)]
    environment = {"AUDIT_CATALOG": reader.catalog or "", "AUDIT_DATA_PATH": reader.data_root}
    told = said(reader, "sql", "select count(*) as n from fact_activity_event", "--output", "csv", **environment)
    assert told.output == "n\n2\n"
    with pytest.raises(lake.WarehouseError, match="permission denied"):
        run(reader, 1)
    with extensions.connect() as connection:
        extensions.load(connection, ("ducklake", "postgres_scanner"))
        connection.execute(f"attach 'ducklake:{reader.catalog}' as audit (data_path '{reader.data_root}/')")
        with pytest.raises(duckdb.Error, match="permission denied"):
            connection.execute("delete from audit.fact_activity_event")
    assert query(home, "select count(*) from fact_activity_event") == [(2,)]
