"""The threads of a run's DuckDB: one for little work, and never more than the process may use."""

from __future__ import annotations

import duckdb
import pytest

from activity_audit.transform import threads


def _threads(connection: duckdb.DuckDBPyConnection) -> int:
    return connection.execute("select current_setting('threads')").fetchall()[0][0]


@pytest.mark.parametrize(("records", "wanted"), [(0, 1), (49_999, 1), (50_000, 2), (10**9, 10**9)])
def test_a_thread_has_enough_to_do(records: int, wanted: int) -> None:
    with duckdb.connect() as connection:
        most = _threads(connection)
        # What an earlier step set counts for nothing.
        connection.execute("set threads = 3")
        threads.fit(connection, records)
        assert _threads(connection) == min(most, wanted)
