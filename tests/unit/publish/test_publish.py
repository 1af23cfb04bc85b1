"""What is published in parts is published whole."""

from __future__ import annotations

import duckdb
import pytest

from activity_audit.publish import publish


@pytest.mark.parametrize(("most", "parts"), [(1_000_000, 1), (30, 4), (1, 11)])
def test_a_sorted_table_is_written_in_parts_of_whole_days(
    monkeypatch: pytest.MonkeyPatch, most: int, parts: int
) -> None:
    monkeypatch.setattr(publish, "_MOST_SORTED", most)
    monkeypatch.setattr(publish, "_MOST_PARTS", 1_000_000)
    connection = duckdb.connect()
    connection.execute(
        "create table staged as select number, timestamp '2026-05-01 23:30:00' + to_hours(number * 3) as time_utc "
        "from range(80) as rows(number)"
    )
    connection.execute("create table public as from staged limit 0")
    found = publish._parts(connection, "staged", "time_utc")
    assert len(found) == parts
    for where in found:
        written = connection.execute(f"select count(*) from staged{where}").fetchone()
        assert written
        assert 0 < written[0] <= max(most, 8)
        connection.execute(f"insert into public from staged{where}")
    assert (
        connection.execute("from public order by all").fetchall()
        == connection.execute("from staged order by all").fetchall()
    )


def test_a_large_load_has_few_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "_MOST_SORTED", 1)
    connection = duckdb.connect()
    connection.execute(
        "create table staged as select timestamp '2026-05-01' + to_days(number::int) as time_utc "
        "from range(365) as rows(number)"
    )
    assert len(publish._parts(connection, "staged", "time_utc")) <= publish._MOST_PARTS + 1
