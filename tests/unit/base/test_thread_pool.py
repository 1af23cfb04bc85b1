"""Checks that run beside each other end when what asked for them does."""

from __future__ import annotations

import duckdb
import pytest

from activity_audit.base.thread_pool import QueryPool


def test_what_runs_is_interrupted_by_an_exception_such_as_ctrl_c() -> None:
    def endless(own: duckdb.DuckDBPyConnection) -> None:
        own.execute("select count(*) from range(1000000000000) as a (n) where n % 7 = hash(n)").fetchall()

    running = []

    def begin_and_stop(connection: duckdb.DuckDBPyConnection) -> None:
        with QueryPool(connection, 2) as beside:
            running.extend(beside.submit(endless) for _ in range(3))
            raise KeyboardInterrupt

    with duckdb.connect() as connection, pytest.raises(KeyboardInterrupt):
        begin_and_stop(connection)
    assert len(running) == 3
    assert all(future.done() for future in running)


def test_what_runs_is_waited_for() -> None:
    with duckdb.connect() as connection:
        with QueryPool(connection, 2) as beside:
            counted = beside.submit(lambda own: own.execute("select 7").fetchall())
        assert counted.result() == [(7,)]
